/* SPDX-License-Identifier: GPL-2.0-or-later */
/* x87: control and status words, the environment and the whole state in memory. */
#include <string.h>

#include "x86/x87_row.h"

enum x86_result x87_exec_ldcw(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t value;

	X87_CHECK(cpu, insn);
	if (!x86_load(cpu, insn->segment, x86_effective_address(cpu, insn), 2, &value))
		return X86_FAULT;
	x86_x87_set_control(&cpu->x87, (uint16_t)value);
	return X86_DONE;
}

static enum x86_result store_16(struct x86_cpu *cpu, const struct x86_insn *insn, uint16_t value)
{
	return x86_store(cpu, insn->segment, x86_effective_address(cpu, insn), 2, value)
		       ? X86_DONE
		       : X86_FAULT;
}

enum x86_result x87_exec_stcw(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	X87_CHECK_NO_WAIT(cpu);
	return store_16(cpu, insn, cpu->x87.control);
}

enum x86_result x87_exec_stsw(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint16_t status = x86_x87_status(&cpu->x87);

	X87_CHECK_NO_WAIT(cpu);
	if (insn->memory)
		return store_16(cpu, insn, status);
	cpu->gpr[X86_RAX] = (cpu->gpr[X86_RAX] & ~(uint64_t)UINT16_MAX) | status;
	return X86_DONE;
}

/* DBE2 FNCLEX, DBE3 FNINIT; the others meant something to an 8087 or 80287 and nothing now. */
enum x86_result x87_exec_misc(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	X87_CHECK_NO_WAIT(cpu);
	if (insn->rm == 2) {
		cpu->x87.status &= X87_CONDITIONS;
		cpu->x87.ferr = false;
	} else if (insn->rm == 3) {
		x86_x87_init(&cpu->x87);
	}
	return X86_DONE;
}

/* The four layouts of the environment: SDM 1 figures 8-9 to 8-12. */

#define ENVIRONMENT_16 14u
#define ENVIRONMENT_32 28u
#define REGISTERS      80u
#define NR_WORDS       7

static unsigned environment_size(const struct x86_insn *insn)
{
	return insn->size == 2 ? ENVIRONMENT_16 : ENVIRONMENT_32;
}

static bool is_real_format(const struct x86_cpu *cpu)
{
	return !(cpu->cr0 & CR0_PE) || (cpu->rflags & RFLAGS_VM);
}

/* The environment as seven fields, whose upper halves 16-bit layouts drop. */
static void get_environment(const struct x86_cpu *cpu, uint32_t ret[NR_WORDS])
{
	const uint32_t reserved = 0xffff0000; /* set on processors */
	const struct x86_x87 *x87 = &cpu->x87;

	ret[0] = reserved | x87->control;
	ret[1] = reserved | x86_x87_status(x87);
	ret[2] = reserved | x86_x87_tags(x87);
	ret[3] = (uint32_t)x87->ip;
	ret[4] = x87->cs | (uint32_t)x87->opcode << 16;
	ret[5] = (uint32_t)x87->dp;
	ret[6] = reserved | x87->ds;
	if (is_real_format(cpu)) {
		uint32_t ip = (uint32_t)x87->ip + ((uint32_t)x87->cs << 4);
		uint32_t dp = (uint32_t)x87->dp + ((uint32_t)x87->ds << 4);

		ret[3] = reserved | (ip & UINT16_MAX);
		ret[4] = (ip >> 16) << 12 | x87->opcode;
		ret[5] = reserved | (dp & UINT16_MAX);
		ret[6] = (dp >> 16) << 12;
	}
}

static void set_environment(struct x86_cpu *cpu, const uint32_t words[NR_WORDS])
{
	struct x86_x87 *x87 = &cpu->x87;

	x86_x87_set_status(x87, (uint16_t)words[1]);
	x86_x87_set_control(x87, (uint16_t)words[0]);
	x86_x87_set_tags(x87, (uint16_t)words[2]);
	x87->ip = words[3];
	x87->dp = words[5];
	x87->cs = (uint16_t)words[4];
	x87->ds = (uint16_t)words[6];
	x87->opcode = words[4] >> 16 & X87_OPCODE_BITS;
	if (is_real_format(cpu)) {
		x87->ip = (words[3] & UINT16_MAX) | (words[4] & 0x0ffff000) << 4;
		x87->dp = (words[5] & UINT16_MAX) | (words[6] & 0x0ffff000) << 4;
		x87->cs = x87->ds = 0;
		x87->opcode = words[4] & X87_OPCODE_BITS;
	}
}

static void pack(const struct x86_insn *insn, const uint32_t words[NR_WORDS], void *ret)
{
	for (unsigned i = 0; i < NR_WORDS; i++)
		memcpy((uint8_t *)ret + insn->size * i, &words[i], insn->size);
}

static void unpack(const struct x86_insn *insn, const void *bytes, uint32_t ret[NR_WORDS])
{
	memset(ret, 0, NR_WORDS * sizeof(ret[0]));
	for (unsigned i = 0; i < NR_WORDS; i++)
		memcpy(&ret[i], (const uint8_t *)bytes + insn->size * i, insn->size);
}

enum x86_result x87_exec_stenv(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint8_t bytes[ENVIRONMENT_32];
	uint32_t words[NR_WORDS];

	X87_CHECK_NO_WAIT(cpu);
	get_environment(cpu, words);
	pack(insn, words, bytes);
	if (!x86_store_slow(cpu, insn->segment, x86_effective_address(cpu, insn),
			    environment_size(insn), bytes))
		return X86_FAULT;
	x86_x87_set_control(&cpu->x87, cpu->x87.control | X87_FLAGS);
	return X86_DONE;
}

enum x86_result x87_exec_ldenv(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint8_t bytes[ENVIRONMENT_32];
	uint32_t words[NR_WORDS];

	X87_CHECK(cpu, insn);
	if (!x86_load_slow(cpu, insn->segment, x86_effective_address(cpu, insn),
			   environment_size(insn), bytes))
		return X86_FAULT;
	unpack(insn, bytes, words);
	set_environment(cpu, words);
	return X86_DONE;
}

/* Two halves, each of which fits into one access; a restart repeats the first. */
enum x86_result x87_exec_save(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	unsigned size = environment_size(insn), step = (size + REGISTERS) / 2;
	uint64_t offset = x86_effective_address(cpu, insn);
	uint8_t bytes[X87_SAVE_SIZE];
	uint32_t words[NR_WORDS];

	X87_CHECK_NO_WAIT(cpu);
	get_environment(cpu, words);
	pack(insn, words, bytes);
	for (unsigned i = 0; i < X87_NR_REGISTERS; i++)
		memcpy(bytes + size + 10 * i, x87_st(&cpu->x87, i), 10);
	for (unsigned i = 0; i < 2; i++)
		if (!x86_store_slow(cpu, insn->segment, offset + i * step, step, bytes + i * step))
			return X86_FAULT;
	x86_x87_init(&cpu->x87);
	return X86_DONE;
}

enum x86_result x87_exec_rstor(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	unsigned size = environment_size(insn), step = (size + REGISTERS) / 2;
	uint64_t offset = x86_effective_address(cpu, insn);
	uint8_t bytes[X87_SAVE_SIZE];
	uint32_t words[NR_WORDS];

	X87_CHECK(cpu, insn);
	for (unsigned i = 0; i < 2; i++)
		if (!x86_load_slow(cpu, insn->segment, offset + i * step, step, bytes + i * step))
			return X86_FAULT;
	unpack(insn, bytes, words);
	set_environment(cpu, words);
	for (unsigned i = 0; i < X87_NR_REGISTERS; i++)
		memcpy(x87_st(&cpu->x87, i), bytes + size + 10 * i, 10);
	return X86_DONE;
}
