/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * User-level instructions, executed by the host's own CPU and by Umbra's, with the same bytes,
 * registers and memory at the same addresses.
 *
 * How to add instructions: write rows (struct native_row) into the file of their family, or make a
 * new file family_NAME.c with a table of rows that ends with an empty one, and list it in
 * native_families (families.c) and in tests/native/local.mk. A row is an encoding as the manual
 * writes it, and words that say which forms of it there are and what operands it likes. One row
 * gives one form for each size x (register or memory) x (no, LOCK, REPE, REPNE prefix).
 *
 *   encoding   66, f2 or f3 first: a mandatory prefix. Opcode bytes. /r or /0 ... /7: ModRM.
 *              XX+r: a general register in the opcode; XX+i: ST(i). ib iw id: immediates of 1, 2, 4
 *              bytes; iz: of the operand size, at most 4 bytes; iv: up to 8. ob oz: relative
 *              targets; mo: an absolute address. vex:PP:MAP[:v]: a VEX prefix with pp (np 66 f3
 *              f2), map (0f 0f38 0f3a), and a register in vvvv; the size q sets W.
 *   words      sizes: letters of b w d q in one word ("wdq"), none where there is no operand size;
 *              "rm" "r" "m" kinds of the rm operand; all others in native_words (forms.c).
 *   undefined  flags that the manual leaves undefined, and so are not compared.
 */
#ifndef TESTS_NATIVE_H
#define TESTS_NATIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "x86/flags.h"

/* Addresses, the same on both sides; all below 4 GiB for 32-bit code. */
#define NATIVE_DATA      0x10000000ull /* two pages to write, one to read, none */
#define NATIVE_MIDDLE    (NATIVE_DATA + 0x1000)
#define NATIVE_READ_ONLY (NATIVE_DATA + 0x2000)
#define NATIVE_ABSENT    (NATIVE_DATA + 0x3000)
#define NATIVE_CODE      0x20000000ull /* two pages of INT3 around the instruction */
#define NATIVE_CODE_SIZE 0x2000ull
#define NATIVE_GS_BASE   0x01000000ull
#define NATIVE_PAGE      4096u
#define NATIVE_INT3      0xcc

/* Memory that an instruction may change: around the middle, and up to the page to read. */
#define NATIVE_WINDOW      (NATIVE_MIDDLE - 512)
#define NATIVE_WINDOW_SIZE 1024u
#define NATIVE_EDGE        (NATIVE_READ_ONLY - 64)
#define NATIVE_EDGE_SIZE   64u

/* Linux's selectors of user segments. */
#define NATIVE_CS_32 0x23
#define NATIVE_DS    0x2b
#define NATIVE_CS_64 0x33

#define NATIVE_FLAGS (RFLAGS_ARITHMETIC | RFLAGS_DF)
#define NATIVE_DONE  0xff /* as a vector: the instruction retired */

enum native_mode { NATIVE_64, NATIVE_32, NATIVE_NR_MODES };

/* As FXSAVE64 stores it; the last 96 bytes are nobody's. */
struct native_fx {
	uint16_t control, status;
	uint8_t tag, reserved; /* a bit for each register that is not empty */
	uint16_t opcode;
	uint64_t ip, dp;
	uint32_t mxcsr, mxcsr_mask;
	uint8_t st[8][16];
	uint8_t xmm[16][16];
	uint8_t unused[96];
} __attribute__((aligned(16)));

struct native_state {
	uint64_t gpr[16];
	uint64_t rip;
	uint64_t rflags;
	uint64_t address; /* of a page fault */
	uint32_t error;
	uint8_t vector; /* NATIVE_DONE, or the exception */
	struct native_fx fx;
	uint8_t window[NATIVE_WINDOW_SIZE];
	uint8_t edge[NATIVE_EDGE_SIZE];
};

struct native_case {
	uint8_t bytes[16];
	uint8_t length;
	uint8_t mode; /* enum native_mode */
	bool fx;      /* x87 and SSE registers matter */
	uint64_t at;  /* where the instruction lies */
	struct native_state before, after;
};

struct native_row {
	const char *name;
	const char *encoding;
	const char *words;
	uint32_t undefined;
};

struct native_family {
	const char *name;
	const struct native_row *rows;
};

extern const struct native_family native_families[]; /* ends with an empty one */

/* What a row's words say; see native_words in forms.c. */
#define WORD_LOCK    (1ull << 0) /* the memory form may have a LOCK prefix */
#define WORD_REP     (1ull << 1) /* may be repeated */
#define WORD_REPCC   (1ull << 2) /* and ends by ZF */
#define WORD_ONLY64  (1ull << 3)
#define WORD_ONLY32  (1ull << 4)
#define WORD_DEFAULT (1ull << 5)  /* operands have 64 bits by default in 64-bit mode */
#define WORD_FX      (1ull << 6)  /* x87 and SSE registers matter */
#define WORD_COUNT   (1ull << 7)  /* CL is a shift count */
#define WORD_DIVIDE  (1ull << 8)  /* half of the quotients fit */
#define WORD_BIT     (1ull << 9)  /* the reg operand is a bit offset into memory */
#define WORD_STRING  (1ull << 10) /* RSI, RDI, RCX as string instructions use them */
#define WORD_STACK   (1ull << 11) /* RBP and the stack matter */
#define WORD_TARGET  (1ull << 12) /* the rm operand, or what is popped, is where to go */
#define WORD_EQUAL   (1ull << 13) /* the accumulator equals the destination half of the time */
#define WORD_XLAT    (1ull << 14)
#define WORD_ALIGN   (1ull << 15) /* memory is mostly aligned to 16 bytes */
#define WORD_ALIGN64 (1ull << 16) /* the same, 64 bytes */
#define WORD_ATOMIC  (1ull << 17) /* locked without a prefix: does not cross a line */
#define WORD_FLAGS   (1ull << 18) /* pops flags */
#define WORD_SMALL   (1ull << 19) /* immediates are small */
#define WORD_RDI     (1ull << 20) /* RDI is an address */
#define WORD_NOLOCK  (1ull << 21) /* no LOCK prefix is tried */
#define WORD_SHIFT   (1ull << 22) /* flags of SHL SHR SAR: undefined_of() */
#define WORD_DOUBLE  (1ull << 23) /* of SHLD SHRD */
#define WORD_ROTATE  (1ull << 24) /* of ROL ROR RCL RCR */
#define WORD_EMPTY   (1ull << 25) /* x87: most registers are empty, not full */
#define WORD_MMX     (1ull << 26) /* x87 registers as MMX ones: the 16 bits above are ones */
#define WORD_BOUND   (1ull << 27) /* memory holds two bounds, mostly around the register */
#define WORD_DECIMAL (1ull << 28) /* AL is often a decimal digit or two */
#define WORD_APPROX  (1ull << 29) /* an approximation: results only in their first 12 bits */
#define WORD_HUGE    (1ull << 30) /* memory of 512 bytes and more */
#define WORD_NAN     (1ull << 31) /* x87: which NaN comes out is not compared */
#define WORD_INSIDE                                                                                \
	(1ull << 32) /* the stack, or what RDI points to, is where it does not fault               \
		      */
/* What processors of different vendors do differently: */
#define WORD_UNMASKED                                                                              \
	(1ull << 33)           /* x87: what there is beside the flag of an unmasked exception      \
				*/
#define WORD_C1   (1ull << 34) /* x87: whether C1 is cleared */
#define WORD_LATE (1ull << 35) /* the transition to MMX has happened when it faults, or not */
#define WORD_STORE                                                                                 \
	(1ull << 37) /* x87, AMD: a fault, or the unmasked exception of the store                  \
		      */
#define WORD_PARTS                                                                                 \
	(1ull << 38) /* a store of more than 8 bytes: a fault in its second page may leave a part  \
		      * in the first (SDM 3A 9.1.1)                                                \
		      */
#define WORD_PUSHED                                                                                \
	(1ull << 39) /* what is below the stack pointer after #GP: Intel's have pushed by then     \
		      */
#define WORD_MXCSR (1ull << 36) /* memory holds an MXCSR that is valid everywhere, or nowhere */

enum native_prefix { PREFIX_NONE, PREFIX_LOCK, PREFIX_REPE, PREFIX_REPNE };

#define NATIVE_MAX_TOKENS 8

enum native_token_kind { TOKEN_BYTE, TOKEN_REG, TOKEN_STACK, TOKEN_IMM, TOKEN_TARGET, TOKEN_MOFFS };

struct native_form {
	const struct native_family *family;
	const struct native_row *row;
	char name[80];
	uint64_t words;
	const char *feature; /* of the host; NULL: every one has it */
	uint8_t size;        /* 0, 1, 2, 4, 8 bytes */
	bool memory;         /* the rm operand */
	uint8_t prefix;      /* enum native_prefix */
	/* the encoding */
	uint8_t mandatory;
	bool vex, vex_operand;
	uint8_t vex_pp, vex_map;
	int8_t modrm;                 /* -1: none; 0 ... 7: the reg field; 8: a register */
	uint8_t nr_tokens, nr_opcode; /* those that stand before ModRM */
	struct native_token {
		uint8_t kind; /* enum native_token_kind */
		uint8_t byte; /* opcode, or size of the immediate; 0: the operand's */
		bool whole;   /* iv: up to 8 bytes */
	} tokens[NATIVE_MAX_TOKENS];
};

/* All forms; *ret_nr of them. The caller frees. NULL: a row is wrong, which is told. */
struct native_form *native_forms(size_t *ret_nr);
bool native_form_has_mode(const struct native_form *form, enum native_mode mode);

/* values.c: repeatable random numbers. */
struct native_random {
	uint64_t state;
};
uint64_t random_next(struct native_random *r);
unsigned random_below(struct native_random *r, unsigned limit);
/* Values at which flags change are rare among random ones. */
uint64_t random_integer(struct native_random *r);
void random_fx(struct native_random *r, const struct native_form *form, struct native_fx *fx);

/* One encoding of a form: its bytes, and how its memory operand's address comes about. */
struct native_encoding {
	uint8_t bytes[16];
	uint8_t length;
	uint8_t mode;
	uint64_t at;
	bool memory;         /* there is a memory operand with ModRM */
	uint8_t reg, rm;     /* register numbers; rm where it is no memory */
	uint8_t base, index; /* 16: none */
	uint8_t scale;       /* a shift count */
	int64_t disp;
	uint8_t address_size;
	uint64_t segment_base;
	uint64_t fixed; /* the address where neither base nor index is */
	uint8_t imm;    /* the low byte of the last immediate */
	bool illegal;   /* LOCK where it may not be */
};

void native_encode(const struct native_form *form, enum native_mode mode, struct native_random *r,
		   struct native_encoding *ret);
/* Registers, flags and memory to execute it with. */
void native_prepare(const struct native_form *form, const struct native_encoding *encoding,
		    struct native_random *r, struct native_case *ret);
/* An address around which an operand of @form may lie. */
uint64_t native_address(const struct native_form *form, const struct native_encoding *encoding,
			struct native_random *r);

/* host.c: a forked child that executes cases. */
#define NATIVE_BATCH 256

struct native_batch {
	uint32_t nr;
	uint64_t rest; /* out: native_rest() of the host's data pages */
	struct native_case cases[NATIVE_BATCH];
};

struct native_host;
/* NULL: not possible here; errno says why. */
struct native_host *native_host_create(struct native_batch **ret_batch);
/* Fills .after of all cases. False: the child died, at case *ret_case. */
bool native_host_run(struct native_host *host, uint32_t *ret_case);
void native_host_destroy(struct native_host *host);
/* True where @feature is NULL. */
bool native_host_has(const char *feature);

/* What is in the two pages that can be written but in no window, as a hash; makes it zero again. */
uint64_t native_rest(uint8_t *first, uint8_t *second);

/* guest.c: Umbra's side. */
struct native_guest;
struct native_guest *native_guest_create(void);
/* False: the guest ended; *ret_text says how. */
bool native_guest_run(struct native_guest *guest, const struct native_case *c,
		      struct native_state *ret_after, const char **ret_text);
/* Umbra's CPUID says that it has @feature; true where that is NULL. */
bool native_guest_has(const struct native_guest *guest, const char *feature);
/* native_rest() of the guest's data pages. */
uint64_t native_guest_rest(struct native_guest *guest);
void native_guest_destroy(struct native_guest *guest);

/* compare.c: true where both did the same, as far as the manual says what. */
bool native_same(const struct native_form *form, const struct native_encoding *encoding,
		 const struct native_case *c, const struct native_state *guest);
void native_describe(FILE *file, const struct native_form *form,
		     const struct native_encoding *encoding, const struct native_case *c,
		     const struct native_state *guest);

#endif
