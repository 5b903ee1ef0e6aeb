// Hold the results folder (`folder`) for as long as this Nextflow lives, and return whether its records may be written there:
// not while another run holds it, nor when it has the results of other data than `data` and the user did not say `overwrite`.
// The kernel lets the lock go however the process ends. The file says who has it; `spikerelay.results_held_by` hands that on,
// `spikerelay.holds_results` the answer.
import groovy.json.JsonException
import groovy.json.JsonOutput
import groovy.json.JsonSlurperClassic
import java.nio.ByteBuffer
import java.nio.channels.FileChannel
import java.nio.file.Files
import java.nio.file.LinkOption
import java.nio.file.StandardCopyOption
import java.nio.file.StandardOpenOption

def hold = {
    def nextflow = new File(folder as String, 'nextflow')
    // Nothing is written through a link, among raw data, or over files that are not a run's.
    def links = [nextflow, *(nextflow.listFiles() ?: [])].any { file -> Files.isSymbolicLink(file.toPath()) }
    def raw = data == null ? null : new File(data as String).canonicalFile.toPath()
    def real = nextflow.canonicalFile.toPath()
    if (links || raw != null && (real.startsWith(raw) || raw.startsWith(real))) {
        // RESOLVE_PARAMS says why.
        return false
    }
    if (nextflow.list() && !['run.json', 'lock.json'].any { name -> new File(nextflow, name).exists() } || nextflow.isFile()) {
        def aside = new File(folder as String, "nextflow_before_${UUID.randomUUID()}")
        if (!overwrite || !nextflow.renameTo(aside)) {
            return false
        }
        System.setProperty('spikerelay.moved_aside', "--overwrite: nextflow moved to ${aside}: it is not of a run")
    }
    if (!nextflow.isDirectory() && !nextflow.mkdirs() || !nextflow.canWrite()) {
        // RESOLVE_PARAMS says why.
        return false
    }
    def file = new File(nextflow, 'lock.json')
    if (System.getProperty('spikerelay.results') != nextflow.path) {
        def channel = FileChannel.open(file.toPath(), StandardOpenOption.CREATE, StandardOpenOption.WRITE, LinkOption.NOFOLLOW_LINKS)
        try {
            def lock = channel.tryLock()
            if (lock == null) {
                System.setProperty('spikerelay.results_held_by', file.text ?: '{}')
                if (ProcessHandle.current().info().arguments().orElse([] as String[]).any { word -> word == '-resume' }) {
                    // Nextflow would open the other run's cache next, and fail with a message on LevelDB.
                    def other = file.text ? new JsonSlurperClassic().parse(file) : [:]
                    def who = other ? ", process ${other.pid} on ${other.host} since ${other.since}" : ''
                    System.err.println("RESULTS_PATH=${folder} is being written by another run${who}: wait for it, or choose another folder")
                    System.exit(1)
                }
                return false
            }
            // Java lets a lock go that nothing refers to any more.
            Runtime.runtime.addShutdownHook(new Thread({ lock.valid } as Runnable))
        }
        catch (IOException error) {
            System.setProperty('spikerelay.results_held_by', JsonOutput.toJson([no_locks: error.message]))
        }
        def owner = [host: new File('/proc/sys/kernel/hostname').text.trim(), pid: ProcessHandle.current().pid(), since: new Date().format('yyyy-MM-dd HH:mm:ss')]
        channel.truncate(0)
        channel.write(ByteBuffer.wrap(JsonOutput.toJson(owner).bytes))
        System.setProperty('spikerelay.results', nextflow.path)
    }
    def record = new File(nextflow, 'run.json')
    def other
    try {
        other = record.exists() ? new JsonSlurperClassic().parse(record).data : null
    }
    catch (JsonException error) {
        return overwrite
    }
    def free = overwrite || other == null || data == null || new File(data as String).canonicalPath == other
    // A run that is rejected later leaves the earlier records in place.
    def trace = new File(nextflow, 'trace.txt')
    if (free && trace.exists() && trace.text.contains('PREPROCESSING')) {
        def before = new File(nextflow, 'before')
        before.mkdirs()
        ['trace.txt', 'report.html', 'timeline.html', 'dag.html'].each { name ->
            new File(before, name).delete()
            new File(nextflow, name).renameTo(new File(before, name))
        }
        if (record.exists()) {
            // If this run is rejected, a later -resume continues the run before it.
            Files.copy(record.toPath(), new File(before, 'run.json').toPath(), StandardCopyOption.REPLACE_EXISTING)
        }
    }
    return free
}

def held = hold()
System.setProperty('spikerelay.holds_results', "${held}")
return held
