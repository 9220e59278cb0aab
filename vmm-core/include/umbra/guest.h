/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest as its embedder sees it: create, load, run until something needs a decision, ask,
 * destroy. Nothing here prints, exits or keeps global state. A guest belongs to the thread that
 * runs it; only umbra_guest_kick() may be called from elsewhere.
 */
#ifndef UMBRA_GUEST_H
#define UMBRA_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "umbra/counters.h"
#include "umbra/end.h"
#include "umbra/error.h"
#include "umbra/known.h"
#include "umbra/mode.h"

struct umbra_guest;
struct umbra_cost;
struct umbra_kvm_config;
struct umbra_kvm_figures;

#define UMBRA_MAX_CPUS 8

/* The guest's serial console. */
struct umbra_console {
	/* The guest wrote @len bytes. */
	void (*write)(void *context, const uint8_t *bytes, size_t len);
	/* Asked only when the guest looks at its UART: one byte 0..255, or -1 when there is none
	 * now. */
	int (*read)(void *context);
	void *context;
};

/* The processors that can be modelled, by number from 0, the default; NULL: there are no more. */
const char *umbra_processor_name(unsigned number);
/* 0 and *ret_number; -EOPNOTSUPP: this build lacks it, and @ret_error names those that it has. */
int umbra_processor_parse(const char *name, unsigned *ret_number, struct umbra_error *ret_error);

struct umbra_guest_config {
	const char *name; /* for messages */
	enum umbra_engine engine;
	const struct umbra_kvm_config *kvm; /* of UMBRA_ENGINE_KVM: umbra/kvm_engine.h */
	enum umbra_mode mode;               /* at start; KVM: what the host's KVM has */
	enum umbra_clock clock;
	const char *processor;        /* by name; NULL: the default */
	uint8_t maxphyaddr;           /* physical address bits, 36 ... 52; 0: the processor's */
	unsigned cpus;                /* vCPUs, 1 ... UMBRA_MAX_CPUS; 0: one */
	uint64_t memory;              /* bytes of RAM, a multiple of 4096, 1 MiB ... 2 GiB */
	enum umbra_page_size backing; /* frames that lie together; memory is a multiple of it */
	uint8_t ept_levels;           /* of EPT tables, 4 or 5; 0: 4 */
	uint64_t interval; /* units of guest time between UMBRA_EVENT_INTERVALs; 0: none */
	const struct umbra_cost *cost; /* NULL: the processor's (cost/cost.h); copied */
	struct umbra_console console;  /* members may be NULL */
	uint64_t seed;                 /* of the order in which frames are handed out */
	bool pace; /* HLT returns UMBRA_EVENT_IDLE so that the embedder can wait */
};

/*
 * A guest without an image. @counters: where its counters are published; must outlive it.
 * *ret_guest is the caller's until umbra_guest_destroy(). 0; -EINVAL: a value out of its range;
 * -EOPNOTSUPP: what this build or the host lacks; -ENOMEM; then *ret_guest is as it was.
 */
int umbra_guest_create(const struct umbra_guest_config *config, struct umbra_counters *counters,
		       struct umbra_guest **ret_guest, struct umbra_error *ret_error);
/* @guest may be NULL; it must not be running. */
void umbra_guest_destroy(struct umbra_guest *guest);

#define UMBRA_MODULES_MAX 64

/* What goes into guest memory beside the image; the bytes are needed during the call only. */
struct umbra_module {
	const char *name; /* of the file, for messages and as the first word of its string */
	const void *data;
	size_t size;
	const char *string; /* what follows the name; NULL: nothing. An initrd has none */
};

struct umbra_image {
	const char *name; /* of the file, for messages and as the command line's first word */
	const void *data; /* the caller's, needed during the call only */
	size_t size;
	const char *append;                 /* command line; NULL: empty */
	const struct umbra_module *initrd;  /* Linux only; NULL: none */
	const struct umbra_module *modules; /* multiboot and ELF64 only */
	unsigned nr_modules;                /* at most UMBRA_MODULES_MAX */
};

/*
 * Loads a Linux bzImage, a multiboot 1 image or an ELF64 executable (docs/boot.md) into a guest
 * that has not run. -ENOEXEC: none of them, or broken; -ENOSPC: RAM has no room for it, its initrd
 * or a module; -E2BIG: the command line is too long, or there are too many modules; -EINVAL: an
 * image of that kind takes no initrd, or no modules. After an error the guest cannot be run.
 */
int umbra_guest_load(struct umbra_guest *guest, const struct umbra_image *image,
		     struct umbra_error *ret_error);

enum umbra_event {
	UMBRA_EVENT_INTERVAL,    /* an interval of guest time is over */
	UMBRA_EVENT_INSTRUCTION, /* the retired instruction asked for was reached */
	UMBRA_EVENT_KICKED,      /* umbra_guest_kick() was called */
	UMBRA_EVENT_IDLE,  /* halted until guest time umbra_guest_wake_time() (only with pace) */
	UMBRA_EVENT_ENDED, /* see umbra_guest_end() */
};

/*
 * Runs until the next event, which falls at an instruction boundary. @until_instruction: stop when
 * that many instructions of all vCPUs have retired (UINT64_MAX: never). Publishes the counters at
 * least every few milliseconds.
 */
enum umbra_event umbra_guest_run(struct umbra_guest *guest, uint64_t until_instruction);

/* Makes a running umbra_guest_run() return UMBRA_EVENT_KICKED soon. Any thread, any signal handler.
 */
void umbra_guest_kick(struct umbra_guest *guest);

/* A live switch (SDM words: VM exit, teardown, INVVPID, VM entry). */
struct umbra_switch {
	uint64_t instruction; /* retired when it happened */
	uint64_t time;        /* guest time */
	enum umbra_mode from, to;
	uint64_t pause_ns;     /* wall time in which the guest stood still */
	uint64_t teardown_ns;  /* of that, until the tables of the mode before were gone */
	uint64_t zapped;       /* shadow pages dropped */
	uint64_t built;        /* tables of the mode after that were built at once */
	uint64_t refill_fills; /* fills it caused so far; grows until the next switch */
	uint64_t refill_cycles;
};

/*
 * Switches between brute, shadow and ept at the present instruction boundary. -EPERM: the guest is
 * bare, or @to is. -EALREADY: @to is on. -ENOMEM: the guest cannot go on. ret_switch may be NULL.
 */
int umbra_guest_switch(struct umbra_guest *guest, enum umbra_mode to,
		       struct umbra_switch *ret_switch, struct umbra_error *ret_error);
/* The last switch, its refill up to now; NULL before the first one. */
const struct umbra_switch *umbra_guest_last_switch(const struct umbra_guest *guest);

enum umbra_mode umbra_guest_mode(const struct umbra_guest *guest);
/* Its name, a static string. */
const char *umbra_guest_processor(const struct umbra_guest *guest);
enum umbra_engine umbra_guest_engine(const struct umbra_guest *guest);
/* The guest thread's own counters, of all vCPUs, up to date after umbra_guest_run() returned. */
const struct umbra_counters *umbra_guest_counters(const struct umbra_guest *guest);
/* Which of them its engine counts; the others mean nothing. The same for the guest's whole life. */
const struct umbra_known *umbra_guest_counters_known(const struct umbra_guest *guest);
/* What KVM itself counts, likewise up to date; NULL: the guest is not KVM's. */
const struct umbra_kvm_figures *umbra_guest_kvm_figures(const struct umbra_guest *guest);
/* Guest time, nominally nanoseconds since the start; what it counts is the clock's (mode.h). */
uint64_t umbra_guest_time(const struct umbra_guest *guest);
/* Guest time of the next timer event of an idle guest; UINT64_MAX: there is none. */
uint64_t umbra_guest_wake_time(const struct umbra_guest *guest);
/* NULL while the guest lives. */
const struct umbra_end *umbra_guest_end(const struct umbra_guest *guest);
/*
 * Ends the guest from outside (limits), unless it has ended already; it keeps its state. @text is
 * copied, up to the size of umbra_end's.
 */
void umbra_guest_stop(struct umbra_guest *guest, enum umbra_end_reason reason, const char *text);

struct umbra_registers {
	uint64_t gpr[16]; /* rax rcx rdx rbx rsp rbp rsi rdi r8..r15 */
	uint64_t rip, rflags;
	uint64_t cr0, cr2, cr3, cr4, efer;
	uint16_t selector[6]; /* es cs ss ds fs gs */
	uint64_t fs_base, gs_base;
	uint64_t xmm[16][2];
	uint32_t mxcsr;
	uint16_t fcw, fsw, ftw; /* x87: control, status and (full) tag word */
	uint16_t fop, fcs, fds; /* last opcode with an exception; selectors of fip and fdp */
	uint64_t fip, fdp;
	struct {
		uint64_t significand; /* of an x87 register; an MMX register */
		uint16_t exponent;    /* and sign */
	} st[8];                      /* ST(0) first */
};

unsigned umbra_guest_cpus(const struct umbra_guest *guest);
/* Those of vCPU @cpu, 0 ... umbra_guest_cpus() - 1. */
void umbra_guest_registers(const struct umbra_guest *guest, unsigned cpu,
			   struct umbra_registers *ret_registers);

/* XXH3-128 over RAM in GPA order, untouched pages as zeros: 32 hexadecimal digits and a NUL. */
void umbra_guest_memory_hash(const struct umbra_guest *guest, char ret_hash[33]);
/* Copies guest RAM; -EFAULT beyond its end. Touches no frame. */
int umbra_guest_memory_read(const struct umbra_guest *guest, uint64_t gpa, void *ret_bytes,
			    size_t len);

#endif
