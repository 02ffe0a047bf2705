"""The parts of the demo: two rovers on one machine that share real topics, watched from both sides."""
