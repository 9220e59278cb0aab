libvmmcore_a_SOURCES += \
	vmm-core/paging/bare.c \
	vmm-core/paging/brute.c \
	vmm-core/paging/entry.h \
	vmm-core/paging/ept.c \
	vmm-core/paging/format.c \
	vmm-core/paging/guest_walk.c \
	vmm-core/paging/hw.c \
	vmm-core/paging/hw.h \
	vmm-core/paging/hw_control.c \
	vmm-core/paging/hw_private.h \
	vmm-core/paging/processor.c \
	vmm-core/paging/processor.h \
	vmm-core/paging/shadow.c \
	vmm-core/paging/shadow.h \
	vmm-core/paging/shadow_entry.c \
	vmm-core/paging/shadow_page.c \
	vmm-core/paging/shadow_root.c \
	vmm-core/paging/shadow_sync.c \
	vmm-core/paging/tlb.c \
	vmm-core/paging/tlb.h \
	vmm-core/paging/vmm.c \
	vmm-core/paging/vmm.h \
	vmm-core/paging/walk.c
