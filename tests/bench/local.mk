# tests/bench: files of this room
EXTRA_DIST += \
	docs/bench.md \
	tests/bench/bench.py \
	tests/bench/emulators.py \
	tests/bench/tables.py
BENCH_RUNS = 3
BENCH_FLAGS = --growth

.PHONY: bench
bench: umbra $(GUESTS)
	python3 $(top_srcdir)/tests/bench/bench.py --umbra ./umbra --guests guests --runs $(BENCH_RUNS) \
		--json bench.json $(BENCH_FLAGS)
CLEANFILES += bench.json

TESTS += tests/integration/test_bench.py
EXTRA_DIST += tests/integration/test_bench.py
