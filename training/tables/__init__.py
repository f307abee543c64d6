"""Wide tables: from a file with one label column to a model, and from a model to predictions for another file.

declare    what the configuration says of the table and its columns
infer      which type each column is, and which are refused
read       the file as columns a model can read, labels, groups
folds      which rows test which
train      leakage guard, folds, fit, evaluation, report
predict    the same columns of another file, scored
"""
