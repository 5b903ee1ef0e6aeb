"""The base of the parameter models, and what is made from them: flags, schema, checks, messages."""
