// Decisions of the reader: a label, a comment, removal and merges, kept in this browser and saved as a curation file of
// SpikeInterface's format, which `spikerelay curate` applies.

const DECISION_KEYS = { g: "good", m: "mua", n: "noise" };
const NO_DECISION = { label: null, comment: "", removed: false };

// Short digest of a text: the units of another run keep other decisions.
function digest(text) {
  let hash = 2166136261;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 16777619) >>> 0;
  return hash.toString(16);
}

class Decisions {
  constructor(sorting, changed) {
    this.sorting = sorting;
    this.changed = changed;
    this.key_ = `spikerelay curation ${sorting.id} ${digest(JSON.stringify([sorting.ids, sorting.spikes]))}`;
    this.units = {};
    this.merges = [];
    this.kept = true;
    this.load();
  }

  // A browser may not let a file keep anything: then decisions last until the page is closed.
  load() {
    try {
      const { units, merges } = JSON.parse(localStorage.getItem(this.key_) ?? "{}");
      const known = (unit) => this.sorting.indexOf.has(unit);
      this.units = Object.fromEntries(Object.entries(units ?? {}).filter(([unit]) => known(unit)));
      this.merges = (merges ?? []).filter((group) => group.every(known));
    } catch {
      this.kept = false;
    }
  }

  store() {
    try {
      if (Object.keys(this.units).length || this.merges.length) localStorage.setItem(this.key_, JSON.stringify({ units: this.units, merges: this.merges }));
      else localStorage.removeItem(this.key_);
    } catch {
      this.kept = false;
    }
    this.changed();
  }

  of(unit) {
    return this.units[this.sorting.ids[unit]] ?? NO_DECISION;
  }

  set(unit, change) {
    const id = this.sorting.ids[unit];
    const decision = { ...this.of(unit), ...change };
    if (decision.removed) this.unmerge(unit, false);
    if (decision.label || decision.comment || decision.removed) this.units[id] = decision;
    else delete this.units[id];
    this.store();
  }

  // The same key again takes the decision back.
  key(key, unit) {
    const decision = this.of(unit);
    const label = DECISION_KEYS[key];
    if (label) this.set(unit, { label: decision.label === label ? null : label, removed: false });
    else if (key === "x") this.set(unit, { removed: !decision.removed, label: null });
    else return false;
    return true;
  }

  // Merges that share a unit become one.
  merge(unit, other) {
    const ids = [unit, other].map((index) => this.sorting.ids[index]);
    for (const id of ids) if (this.units[id]?.removed) this.set(this.sorting.indexOf.get(id), { removed: false });
    const touched = this.merges.filter((group) => group.some((id) => ids.includes(id)));
    const joined = [...new Set([...touched.flat(), ...ids])];
    this.merges = [...this.merges.filter((group) => !touched.includes(group)), joined];
    this.store();
  }

  merged(unit, other) {
    const [a, b] = [unit, other].map((index) => this.sorting.ids[index]);
    return this.merges.some((group) => group.includes(a) && group.includes(b));
  }

  unmerge(unit, store = true) {
    const id = this.sorting.ids[unit];
    this.merges = this.merges.map((group) => group.filter((other) => other !== id)).filter((group) => group.length > 1);
    if (store) this.store();
  }

  clear() {
    this.units = {};
    this.merges = [];
    this.store();
  }

  counts() {
    const decided = Object.values(this.units);
    const labels = Object.values(DECISION_KEYS).map((label) => [label, decided.filter((decision) => decision.label === label).length]);
    const removed = decided.filter((decision) => decision.removed).length;
    return { labels, removed, merges: this.merges.length, decided: decided.filter(({ label, removed: gone }) => label || gone).length, comments: decided.filter(({ comment }) => comment).length };
  }

  // SpikeInterface's format, version 2. Its ids have the type that they have in the sorting.
  document() {
    const { sorting } = this;
    const native = (id) => (sorting.units.integer_ids ? Number(id) : id);
    const comments = [...new Set(Object.values(this.units).map(({ comment }) => comment).filter(Boolean))];
    const definitions = { quality: { label_options: Object.values(DECISION_KEYS), exclusive: true } };
    // The format has no free text: a comment is an option of a label, of which it wants at least two.
    if (comments.length) definitions.comment = { label_options: ["none", ...comments.filter((comment) => comment !== "none")], exclusive: true };
    const labelsOf = ({ label, comment }) => ({ ...(label && { quality: [label] }), ...(comment && { comment: [comment] }) });
    const labelled = sorting.ids.filter((id) => this.units[id] && !this.units[id].removed && (this.units[id].label || this.units[id].comment));
    return {
      format_version: "2", unit_ids: sorting.ids.map(native), label_definitions: definitions,
      manual_labels: labelled.map((id) => ({ unit_id: native(id), labels: labelsOf(this.units[id]) })),
      merges: this.merges.map((group) => ({ unit_ids: group.map(native) })), splits: [],
      removed: sorting.ids.filter((id) => this.units[id]?.removed).map(native),
    };
  }

  download() {
    save(`${JSON.stringify(this.document(), null, 1)}\n`, "application/json", `${this.sorting.id}_curation.json`);
  }
}

// The bar that counts what is decided.
function showDecisions(place, explorer) {
  const { decisions, sorting } = explorer;
  const bar = place.querySelector('[data-part="decisions"]');
  const { labels, removed, merges, decided, comments } = decisions.counts();
  bar.querySelector("progress").max = sorting.count;
  bar.querySelector("progress").value = decided;
  const parts = [...labels.map(([label, count]) => `${count} ${label}`), `${removed} removed`, counted(merges, "merge"), ...(comments ? [counted(comments, "comment")] : [])];
  bar.querySelector('[role="status"]').textContent = `You decided ${decided} of ${sorting.count}: ${parts.join(", ")}${decisions.kept ? "" : ". This browser does not keep them: save the file before you close the page"}`;
  const empty = !decided && !merges && !comments;
  const [download, clear] = bar.querySelectorAll("button");
  download.disabled = clear.disabled = empty;
  bar.toggleAttribute("data-empty", empty);
  download.onclick = () => decisions.download();
  clear.onclick = () => { if (confirm(`Remove all your decisions on ${sorting.id}?`)) decisions.clear(); };
}
