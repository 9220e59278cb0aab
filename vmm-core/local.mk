# The VMM core: one static library; its rooms add their files to libvmmcore_a_SOURCES.
noinst_LIBRARIES += libvmmcore.a
VMMCORE_LIBS = libvmmcore.a $(ZYDIS_LIBS) $(XXHASH_LIBS)
libvmmcore_a_SOURCES = \
	vmm-core/error.c \
	vmm-core/names.c \
	vmm-core/include/umbra/counters.def \
	vmm-core/include/umbra/counters.h \
	vmm-core/include/umbra/end.h \
	vmm-core/include/umbra/error.h \
	vmm-core/include/umbra/explain.h \
	vmm-core/include/umbra/guest.h \
	vmm-core/include/umbra/known.h \
	vmm-core/include/umbra/kvm.def \
	vmm-core/include/umbra/kvm_counters.h \
	vmm-core/include/umbra/kvm_engine.h \
	vmm-core/include/umbra/kvm_stats.h \
	vmm-core/include/umbra/mode.h \
	vmm-core/include/umbra/translate.h
