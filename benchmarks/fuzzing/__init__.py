"""The parts of `benchmarks/fuzz.py`: each makes broken or odd inputs and knows what is right."""
