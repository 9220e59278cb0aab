# collectors: what is measured of VMs of this host's KVM. Each source lists its files here.
noinst_LIBRARIES += libcollectors.a
libcollectors_a_SOURCES = \
	collectors/collector.h \
	collectors/discovery.h \
	collectors/exit_reasons.def \
	collectors/kvm_exits.def \
	collectors/observer.c \
	collectors/observer.h \
	collectors/perf_event.def \
	collectors/sample.c \
	collectors/sample.h \
	collectors/vm.h
COLLECTORS_LIBS = libcollectors.a $(VMMCORE_LIBS)

# Owns VMs, for tests of what watches those of others.
check_PROGRAMS += tests/integration/kvm_owner
tests_integration_kvm_owner_SOURCES = tests/integration/kvm_owner.c
