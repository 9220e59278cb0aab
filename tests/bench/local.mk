# tests/bench: files of this room
EXTRA_DIST += \
	docs/bench.md \
	tests/bench/bench.py \
	tests/bench/collect.py \
	tests/bench/daemon.py \
	tests/bench/emulators.py \
	tests/bench/exits.py \
	tests/bench/parts.py \
	tests/bench/tables.py
BENCH_RUNS = 3
BENCH_FLAGS = --growth --paging --switches --web

.PHONY: bench
bench: umbra umbrad $(GUESTS) $(BENCHES) $(BENCH_COLLECT) $(BENCH_EXITS)
	python3 $(top_srcdir)/tests/bench/bench.py --umbra ./umbra --guests guests --runs $(BENCH_RUNS) \
		--json bench.json $(BENCH_FLAGS)
	$(PYTHON3) $(top_srcdir)/tests/bench/daemon.py --json bench-daemon.json
	$(PYTHON3) $(top_srcdir)/tests/bench/collect.py --json bench-collect.json
	$(PYTHON3) $(top_srcdir)/tests/bench/exits.py --json bench-exits.json
CLEANFILES += bench.json bench-collect.json bench-daemon.json bench-exits.json

# What collect.py watches with, and whom.
BENCH_COLLECT = tests/integration/kvm_owner tests/integration/kvm_watch

# What exits.py boots; without BPF it says that it is not measured.
if BPF
BENCH_EXITS = tests/integration/kvm_exits_watch tests/lab/exit_cost
endif

# Programs that it runs, over the core.
BENCHES = tests/bench/paging tests/bench/switches tests/bench/web
check_PROGRAMS += $(BENCHES)
tests_bench_paging_SOURCES = tests/bench/paging.c $(paging_test_sources)
tests_bench_paging_CPPFLAGS = $(paging_test_cppflags)
tests_bench_paging_LDADD = $(paging_test_ldadd)
tests_bench_switches_SOURCES = tests/bench/switches.c
tests_bench_switches_LDADD = $(VMMCORE_LIBS)
tests_bench_web_SOURCES = tests/bench/web.c
tests_bench_web_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
tests_bench_web_LDADD = $(WEB_LIBS)

TESTS += tests/integration/test_bench.py
EXTRA_DIST += tests/integration/test_bench.py
