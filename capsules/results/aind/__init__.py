"""The metadata of a derived asset as aind-data-schema has them: processing, quality control and data description.

SpikeRelay writes them without the package, which needs an older pydantic. `vocabulary.json` has the words and versions
of its schema; tests read the files with the package itself (`tests/aind_schema.py`).
"""
