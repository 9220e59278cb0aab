# tests/bench: files of this room
EXTRA_DIST += tests/bench/bench.py
BENCH_RUNS = 3

.PHONY: bench
bench: umbra $(GUESTS)
	python3 $(top_srcdir)/tests/bench/bench.py --umbra ./umbra --guests guests --runs $(BENCH_RUNS) \
		--json bench.json
CLEANFILES += bench.json
