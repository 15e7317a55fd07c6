"""One module a generator: from options and a project to a plan. They read; only writer.py writes."""
