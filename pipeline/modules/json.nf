// JSON in and out.

def read_json(file) {
    // The classic one: the other gives lazy maps, which are not thread-safe.
    return new groovy.json.JsonSlurperClassic().parseText(file.text)
}

def to_json(value) {
    return groovy.json.JsonOutput.toJson(value)
}

// A JSON list of JSON texts. A String: Nextflow makes a GString anew for each letter that it hashes.
def json_list(texts) {
    return "[${texts.toSorted().join(', ')}]".toString()
}
