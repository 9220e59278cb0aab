/* SPDX-License-Identifier: GPL-2.0-or-later */
/* IN, OUT, INS, OUTS (SDM 1 18). */
#include "x86/debug.h"
#include "x86/integer.h"
#include "x86/segment.h"
#include "x86/system.h"

static enum x86_result allow_port(struct x86_cpu *cpu, uint16_t port, unsigned size)
{
	uint16_t base, bits;
	uint32_t offset;

	if (cpu->cpl <= x86_iopl(cpu) && !x86_v8086(cpu)) {
		x86_debug_port(cpu, port, size);
		return X86_DONE;
	}
	if ((cpu->tr.rights & (SEG_P | SEG_TYPE)) != (SEG_P | SYS_TSS_BUSY) ||
	    TSS_IO_MAP_BASE + sizeof(base) - 1 > cpu->tr.limit)
		return x86_raise_code(cpu, X86_GP, 0);
	if (!x86_load_system(cpu, cpu->tr.base + TSS_IO_MAP_BASE, sizeof(base), &base))
		return X86_FAULT;
	/* Always two bytes: the bits of one access may lie in both. */
	offset = base + port / 8u;
	if (offset + sizeof(bits) - 1 > cpu->tr.limit)
		return x86_raise_code(cpu, X86_GP, 0);
	if (!x86_load_system(cpu, cpu->tr.base + offset, sizeof(bits), &bits))
		return X86_FAULT;
	if ((bits >> port % 8) & ((1u << size) - 1))
		return x86_raise_code(cpu, X86_GP, 0);
	x86_debug_port(cpu, port, size);
	return X86_DONE;
}

void x86_take_machine_end(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	const struct umbra_end *end = machine_end(cpu->machine);

	if (!end)
		return;
	x86_end(cpu, end->reason, "%s", end->text);
	cpu->end.value = end->value;
	cpu->end.rip = cpu->gpr[X86_RIP] - insn->length;
}

static enum x86_result out(struct x86_cpu *cpu, const struct x86_insn *insn, uint16_t port,
			   uint32_t value)
{
	machine_out(cpu->machine, port, insn->size, value, x86_time(cpu));
	x86_take_machine_end(cpu, insn);
	return X86_LEAVE;
}

/* The port of IN and OUT: an immediate byte, or DX (insn->extra). */
static uint16_t port_of(const struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return insn->extra ? (uint16_t)cpu->gpr[X86_RDX] : (uint8_t)insn->imm;
}

enum x86_result x86_exec_in(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint16_t port = port_of(cpu, insn);
	uint64_t *rax = &cpu->gpr[X86_RAX];
	uint32_t value;

	if (allow_port(cpu, port, insn->size) != X86_DONE)
		return X86_FAULT;
	hw_event(cpu->hw, UMBRA_EXIT_io_instruction);
	value = machine_in(cpu->machine, port, insn->size, x86_time(cpu));
	switch (insn->size) {
	case 1: *rax = (*rax & ~(uint64_t)UINT8_MAX) | (uint8_t)value; break;
	case 2: *rax = (*rax & ~(uint64_t)UINT16_MAX) | (uint16_t)value; break;
	default: *rax = value; break;
	}
	return X86_LEAVE; /* the device's interrupt line or its timer may have changed */
}

enum x86_result x86_exec_out(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint16_t port = port_of(cpu, insn);
	uint32_t value = (uint32_t)cpu->gpr[X86_RAX];

	if (allow_port(cpu, port, insn->size) != X86_DONE)
		return X86_FAULT;
	hw_event(cpu->hw, UMBRA_EXIT_io_instruction);
	if (insn->size < sizeof(value))
		value &= (1u << 8 * insn->size) - 1;
	return out(cpu, insn, port, value);
}

static void advance(struct x86_cpu *cpu, const struct x86_insn *insn, unsigned reg)
{
	uint64_t step = cpu->rflags & RFLAGS_DF ? -(uint64_t)insn->size : insn->size;

	reg_set(cpu, reg, insn->address_size, cpu->gpr[reg] + step);
}

/* One iteration is done: counts it and says whether another one is due. */
static enum x86_result iterated(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	if (!insn->rep || cpu->ended)
		return X86_LEAVE;
	reg_set(cpu, X86_RCX, insn->address_size, cpu->gpr[X86_RCX] - 1);
	if (x86_address_part(insn, cpu->gpr[X86_RCX]) == 0)
		return X86_LEAVE;
	cpu->gpr[X86_RIP] -= insn->length;
	return X86_AGAIN;
}

enum x86_result x86_exec_ins(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint16_t port = (uint16_t)cpu->gpr[X86_RDX];
	struct x86_rmw destination;
	uint64_t old;

	if (insn->rep && x86_address_part(insn, cpu->gpr[X86_RCX]) == 0)
		return X86_LEAVE;
	if (allow_port(cpu, port, insn->size) != X86_DONE)
		return X86_FAULT;
	hw_event(cpu->hw, UMBRA_EXIT_io_instruction);
	/* The device is asked only once it is sure that its answer can be stored. */
	if (!x86_rmw_begin(cpu, X86_ES, x86_address_part(insn, cpu->gpr[X86_RDI]), insn->size,
			   &destination, &old))
		return X86_FAULT;
	x86_rmw_end(cpu, &destination, machine_in(cpu->machine, port, insn->size, x86_time(cpu)));
	advance(cpu, insn, X86_RDI);
	return iterated(cpu, insn);
}

enum x86_result x86_exec_outs(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint16_t port = (uint16_t)cpu->gpr[X86_RDX];
	uint64_t value;

	if (insn->rep && x86_address_part(insn, cpu->gpr[X86_RCX]) == 0)
		return X86_LEAVE;
	if (allow_port(cpu, port, insn->size) != X86_DONE)
		return X86_FAULT;
	hw_event(cpu->hw, UMBRA_EXIT_io_instruction);
	if (!x86_load(cpu, insn->segment, x86_address_part(insn, cpu->gpr[X86_RSI]), insn->size,
		      &value))
		return X86_FAULT;
	out(cpu, insn, port, (uint32_t)value);
	advance(cpu, insn, X86_RSI);
	return iterated(cpu, insn);
}
