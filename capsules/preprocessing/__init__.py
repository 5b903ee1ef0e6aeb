"""Filter, align, clean and reference a recording; estimate its motion; write the traces once."""
