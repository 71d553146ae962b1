"""The evidence pack: what an evaluator asks for, collected in one folder. Evaluation-ready, not certified."""
