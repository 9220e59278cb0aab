# guests: freestanding 64-bit programs in ELF32 multiboot containers
GUESTS = \
	guests/chase.elf \
	guests/churn.elf \
	guests/forker.elf \
	guests/gups.elf \
	guests/hello.elf \
	guests/mov1234.elf \
	guests/phases.elf \
	guests/scan.elf \
	guests/smp.elf \
	guests/switcher.elf
GUEST_LIB = \
	guests/lib/build \
	guests/lib/guest.lds \
	guests/lib/ports.h \
	guests/lib/processors.c \
	guests/lib/processors.h \
	guests/lib/runtime.c \
	guests/lib/runtime.h \
	guests/lib/start.S

guestsdir = $(pkgdatadir)/guests
guests_DATA = $(GUESTS)
CLEANFILES += $(GUESTS)
EXTRA_DIST += \
	docs/guests.md \
	$(GUEST_LIB) \
	guests/chase.c \
	guests/churn.c \
	guests/forker.c \
	guests/gups.c \
	guests/hello.c \
	guests/mov1234.c \
	guests/phases.c \
	guests/scan.c \
	guests/smp.c \
	guests/switcher.c

GUEST_BUILD = $(AM_V_GEN)$(SHELL) $(srcdir)/guests/lib/build '$(CC)' '$(OBJCOPY)' \
	'$(srcdir)/guests' $@

$(GUESTS): $(GUEST_LIB)
guests/chase.elf: guests/chase.c
	$(GUEST_BUILD) -msse2
guests/churn.elf: guests/churn.c
	$(GUEST_BUILD) -mgeneral-regs-only
guests/forker.elf: guests/forker.c
	$(GUEST_BUILD) -mgeneral-regs-only
guests/gups.elf: guests/gups.c
	$(GUEST_BUILD) -mgeneral-regs-only
guests/hello.elf: guests/hello.c
	$(GUEST_BUILD) -mgeneral-regs-only
guests/mov1234.elf: guests/mov1234.c
	$(GUEST_BUILD) -mgeneral-regs-only
guests/phases.elf: guests/phases.c
	$(GUEST_BUILD) -mgeneral-regs-only
guests/scan.elf: guests/scan.c
	$(GUEST_BUILD) -mgeneral-regs-only
guests/smp.elf: guests/smp.c
	$(GUEST_BUILD) -mgeneral-regs-only
guests/switcher.elf: guests/switcher.c
	$(GUEST_BUILD) -mgeneral-regs-only
