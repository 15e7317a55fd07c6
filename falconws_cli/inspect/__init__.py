"""`falconws inspect`: what an app consists of.

survey  looks into an app; the one module here that knows Falcon
table   pure: a survey for a person, in columns
tree    pure: a survey for a person, one responder a line
run     puts the parts together
"""
