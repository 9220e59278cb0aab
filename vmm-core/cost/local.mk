libvmmcore_a_SOURCES += \
	vmm-core/cost/cost.c \
	vmm-core/cost/cost.h \
	vmm-core/cost/costs.def
