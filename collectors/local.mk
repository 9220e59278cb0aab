# collectors: what is measured of VMs of this host's KVM. Each source lists its files here.
# libhost.a is what others want to know of the host too: it needs no other library.
noinst_LIBRARIES += libcollectors.a libhost.a
libhost_a_SOURCES = \
	collectors/host_file.c \
	collectors/host_file.h \
	collectors/kvm_host.c \
	collectors/kvm_host.h \
	collectors/processor.c \
	collectors/processor.h \
	collectors/processors.def
HOST_LIBS = libhost.a $(VMMCORE_LIBS)
libcollectors_a_SOURCES = \
	collectors/clock.h \
	collectors/collector.c \
	collectors/collector.h \
	collectors/discovery.c \
	collectors/discovery.h \
	collectors/discovery_private.h \
	collectors/discovery_scan.c \
	collectors/exit_reasons.def \
	collectors/exit_reasons.h \
	collectors/kvm_debugfs.c \
	collectors/kvm_debugfs.h \
	collectors/kvm_exits.def \
	collectors/kvm_stats.c \
	collectors/observer.c \
	collectors/observer.h \
	collectors/perf_encode.c \
	collectors/perf_encode.h \
	collectors/perf_event.c \
	collectors/perf_event.def \
	collectors/perf_event.h \
	collectors/perf_events.def \
	collectors/perf_plan.c \
	collectors/perf_plan.h \
	collectors/proc.c \
	collectors/proc.h \
	collectors/sample.c \
	collectors/sample.h \
	collectors/uevent.c \
	collectors/uevent.h \
	collectors/vm.h \
	collectors/vm_name.c \
	collectors/vm_name.h \
	collectors/watched.c \
	collectors/watched.h
COLLECTORS_LIBS = libcollectors.a $(HOST_LIBS) $(BPF_LIBS) $(LIBPFM_LIBS)

# The BPF programs, or what says that there are none in this build.
kvm_exits_sources = \
	collectors/kernel_btf.c \
	collectors/kernel_btf.h \
	collectors/kernel_types.bpf.h \
	collectors/kvm_exits.bpf.c \
	collectors/kvm_exits.c \
	collectors/kvm_exits.h \
	collectors/kvm_exits_programs.c \
	collectors/kvm_exits_programs.h
if BPF
libcollectors_a_SOURCES += collectors/kernel_btf.c collectors/kvm_exits.c collectors/kvm_exits_programs.c
else
libcollectors_a_SOURCES += collectors/kvm_exits_none.c
endif
EXTRA_DIST += $(kvm_exits_sources) collectors/kvm_exits_none.c

# The system's headers of C are of a machine, which clang does not look for when it is told bpf.
collectors/kvm_exits.bpf.made.o: collectors/kvm_exits.bpf.c collectors/kvm_exits.h \
		collectors/kernel_types.bpf.h collectors/exit_reasons.h collectors/exit_reasons.def
	$(AM_V_CC)$(MKDIR_P) collectors && $(CLANG) -target bpf -mcpu=v3 -g -O2 -Wall -Wextra \
		-Wno-initializer-overrides -I$(top_srcdir) -idirafter /usr/include/$(MULTIARCH) \
		-c $(top_srcdir)/collectors/kvm_exits.bpf.c -o $@.whole && \
	$(BPFTOOL) gen object $@ $@.whole && rm -f $@.whole
collectors/kvm_exits.skel.h: collectors/kvm_exits.bpf.made.o
	$(AM_V_GEN)$(BPFTOOL) gen skeleton collectors/kvm_exits.bpf.made.o name kvm_exits_bpf >$@.new && \
	mv $@.new $@
collectors/kvm_exits_programs.$(OBJEXT): collectors/kvm_exits.skel.h
CLEANFILES += collectors/kvm_exits.bpf.made.o collectors/kvm_exits.skel.h

# Owns VMs, for tests of what watches those of others.
check_PROGRAMS += tests/integration/kvm_owner
tests_integration_kvm_owner_SOURCES = tests/integration/kvm_owner.c

# Prints what is seen of them.
check_PROGRAMS += tests/integration/kvm_watch
tests_integration_kvm_watch_SOURCES = tests/integration/kvm_watch.c
tests_integration_kvm_watch_LDADD = $(COLLECTORS_LIBS)
TESTS += tests/integration/test_kvm_watch.py
EXTRA_DIST += tests/integration/kvm_fixture.py tests/integration/test_kvm_watch.py \
	tests/integration/hung_file.py

# The collector alone, for tests and benchmarks.
if BPF
check_PROGRAMS += tests/integration/kvm_exits_watch
tests_integration_kvm_exits_watch_SOURCES = tests/integration/kvm_exits_watch.c
tests_integration_kvm_exits_watch_LDADD = $(COLLECTORS_LIBS)
check_PROGRAMS += tests/unit/test_collectors_kernel_btf tests/unit/test_collectors_kvm_exits
TESTS += tests/unit/test_collectors_kernel_btf tests/unit/test_collectors_kvm_exits
tests_unit_test_collectors_kvm_exits_SOURCES = tests/unit/test_collectors_kvm_exits.c
tests_unit_test_collectors_kvm_exits_LDADD = $(COLLECTORS_LIBS) $(CMOCKA_LIBS)
tests_unit_test_collectors_kernel_btf_SOURCES = tests/unit/test_collectors_kernel_btf.c
tests_unit_test_collectors_kernel_btf_LDADD = $(COLLECTORS_LIBS) $(CMOCKA_LIBS)
endif
TESTS += tests/integration/test_kvm_exits.py
EXTRA_DIST += tests/integration/test_kvm_exits.py tests/integration/kvm_exits_watcher.py

check_PROGRAMS += tests/unit/test_collectors_exit_reasons
TESTS += tests/unit/test_collectors_exit_reasons
tests_unit_test_collectors_exit_reasons_SOURCES = tests/unit/test_collectors_exit_reasons.c
tests_unit_test_collectors_exit_reasons_LDADD = $(COLLECTORS_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/test_collectors_kvm_host
TESTS += tests/unit/test_collectors_kvm_host
tests_unit_test_collectors_kvm_host_SOURCES = tests/unit/test_collectors_kvm_host.c
tests_unit_test_collectors_kvm_host_LDADD = $(HOST_LIBS) $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/test_collectors_perf tests/unit/test_collectors_perf_real
TESTS += tests/unit/test_collectors_perf tests/unit/test_collectors_perf_real
perf_fixture_sources = tests/unit/perf_fixture.c tests/unit/perf_fixture.h
tests_unit_test_collectors_perf_SOURCES = tests/unit/test_collectors_perf.c $(perf_fixture_sources)
tests_unit_test_collectors_perf_LDADD = $(COLLECTORS_LIBS) $(CMOCKA_LIBS)
tests_unit_test_collectors_perf_real_SOURCES = tests/unit/test_collectors_perf_real.c
tests_unit_test_collectors_perf_real_LDADD = $(COLLECTORS_LIBS) $(CMOCKA_LIBS)

DISCOVERY_TESTS = tests/unit/test_collectors_discovery tests/unit/test_collectors_kvm_stats \
	tests/unit/test_collectors_names
check_PROGRAMS += $(DISCOVERY_TESTS)
TESTS += $(DISCOVERY_TESTS)
tests_unit_test_collectors_discovery_SOURCES = tests/unit/test_collectors_discovery.c
tests_unit_test_collectors_discovery_LDADD = $(COLLECTORS_LIBS) $(CMOCKA_LIBS)
tests_unit_test_collectors_kvm_stats_SOURCES = tests/unit/test_collectors_kvm_stats.c
tests_unit_test_collectors_kvm_stats_LDADD = $(COLLECTORS_LIBS) $(CMOCKA_LIBS)
tests_unit_test_collectors_names_SOURCES = tests/unit/test_collectors_names.c
tests_unit_test_collectors_names_LDADD = $(COLLECTORS_LIBS) $(CMOCKA_LIBS)
