/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Decodes one instruction. Speed does not matter here: the result is cached.
 */
#include "x86/decode.h"

#include "x86/block.h"

/* Extensions that CPUID does not offer and whose encodings older processors execute as others. */
static const ZydisDecoderMode modes_off[] = {
	ZYDIS_DECODER_MODE_MPX,
	ZYDIS_DECODER_MODE_CET,
	ZYDIS_DECODER_MODE_CLDEMOTE,
};

void x86_decoders_init(struct x86_decoders *decoders)
{
	static const struct {
		ZydisMachineMode machine;
		ZydisStackWidth stack; /* nothing depends on it: SS says how wide a stack is */
	} modes[X86_NR_CODE_MODES] = {
		[X86_CODE_32] = {ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32},
		[X86_CODE_COMPAT_32] = {ZYDIS_MACHINE_MODE_LONG_COMPAT_32, ZYDIS_STACK_WIDTH_32},
		[X86_CODE_64] = {ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64},
		[X86_CODE_REAL] = {ZYDIS_MACHINE_MODE_REAL_16, ZYDIS_STACK_WIDTH_16},
		[X86_CODE_V8086] = {ZYDIS_MACHINE_MODE_REAL_16, ZYDIS_STACK_WIDTH_16},
		[X86_CODE_16] = {ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16},
		[X86_CODE_COMPAT_16] = {ZYDIS_MACHINE_MODE_LONG_COMPAT_16, ZYDIS_STACK_WIDTH_16},
	};

	for (unsigned i = 0; i < X86_NR_CODE_MODES; i++) {
		ZydisDecoderInit(&decoders->decoder[i], modes[i].machine, modes[i].stack);
		for (unsigned j = 0; j < sizeof(modes_off) / sizeof(modes_off[0]); j++)
			ZydisDecoderEnableMode(&decoders->decoder[i], modes_off[j], ZYAN_FALSE);
	}
}

static enum x86_result exec_undefined(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return x86_raise(cpu, X86_UD);
}

/* SDM 2A 2.3.11: longer than 15 bytes. */
static enum x86_result exec_too_long(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return x86_raise_code(cpu, X86_GP, 0);
}

enum x86_result x86_exec_unimplemented(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	const uint8_t *bytes = x86_blocks_fetched(cpu->blocks);
	const char *name = ZydisMnemonicGetString((ZydisMnemonic)insn->mnemonic);
	char text[3 * X86_MAX_LENGTH + 1] = "";

	for (unsigned i = 0; i < insn->length && i < X86_MAX_LENGTH; i++) {
		static const char digits[] = "0123456789abcdef";

		text[3 * i] = digits[bytes[i] >> 4];
		text[3 * i + 1] = digits[bytes[i] & 0xf];
		text[3 * i + 2] = ' ';
		text[3 * i + 3] = '\0';
	}
	x86_end(cpu, UMBRA_END_UNIMPLEMENTED_OPCODE, "%s (%sat 0x%llx, %s mode) is not implemented",
		name ? name : "?", text, (unsigned long long)(cpu->gpr[X86_RIP] - insn->length),
		x86_mode_name(cpu));
	return X86_FAULT;
}

uint8_t x86_register_number(ZydisRegister reg)
{
	if (reg == ZYDIS_REGISTER_NONE)
		return X86_ZERO;
	if (reg == ZYDIS_REGISTER_RIP || reg == ZYDIS_REGISTER_EIP)
		return X86_RIP;
	if (reg >= ZYDIS_REGISTER_AL && reg <= ZYDIS_REGISTER_BL)
		return (uint8_t)(reg - ZYDIS_REGISTER_AL);
	if (reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH)
		return (uint8_t)(0x10 | (reg - ZYDIS_REGISTER_AH));
	if (reg >= ZYDIS_REGISTER_SPL && reg <= ZYDIS_REGISTER_R15B)
		return (uint8_t)(X86_RSP + (reg - ZYDIS_REGISTER_SPL));
	return (uint8_t)ZydisRegisterGetId(reg);
}

uint8_t x86_segment_number(ZydisRegister reg)
{
	ZyanI8 id = ZydisRegisterGetId(reg);

	return id < 0 ? X86_DS : (uint8_t)id;
}

static bool is_string(const ZydisDecodedInstruction *decoded)
{
	return decoded->meta.category == ZYDIS_CATEGORY_STRINGOP ||
	       decoded->meta.category == ZYDIS_CATEGORY_IOSTRINGOP;
}

/* On MOVS, STOS, LODS, INS and OUTS both prefixes repeat; the last one counts. */
static uint8_t repeat_prefix(const ZydisDecodedInstruction *decoded)
{
	uint8_t rep = 0;

	for (unsigned i = 0; is_string(decoded) && i < decoded->raw.prefix_count; i++)
		if (decoded->raw.prefixes[i].value == 0xf2 ||
		    decoded->raw.prefixes[i].value == 0xf3)
			rep = decoded->raw.prefixes[i].value;
	return rep;
}

static void take_memory(const ZydisDecodedOperand *operand, struct x86_insn *insn)
{
	static const uint8_t shift[9] = {[1] = 0, [2] = 1, [4] = 2, [8] = 3};

	insn->memory = true;
	insn->base = x86_register_number(operand->mem.base);
	insn->index = x86_register_number(operand->mem.index);
	insn->scale = shift[operand->mem.scale & 0xf];
	insn->disp = operand->mem.disp.has_displacement ? operand->mem.disp.value : 0;
	insn->segment = x86_segment_number(operand->mem.segment);
}

/* What every instruction has; see struct x86_insn for the rules. */
static void take_operands(const ZydisDecodedInstruction *decoded,
			  const ZydisDecodedOperand *operands, struct x86_insn *insn)
{
	bool has_reg = false, has_rm = false, has_imm = false, vector = false;

	insn->base = insn->index = X86_ZERO;
	insn->segment = X86_DS;
	for (unsigned i = 0; i < decoded->operand_count; i++)
		if (operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY && !insn->memory &&
		    (i < decoded->operand_count_visible || is_string(decoded)))
			take_memory(&operands[i], insn);
	has_rm = insn->memory;
	for (unsigned i = 0; i < decoded->operand_count_visible; i++) {
		const ZydisDecodedOperand *operand = &operands[i];
		ZydisRegister reg = operand->reg.value;

		if (operand->type == ZYDIS_OPERAND_TYPE_IMMEDIATE && !has_imm) {
			has_imm = true;
			insn->imm = operand->imm.value.s;
		} else if (operand->type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
			insn->extra = (uint8_t)operand->imm.value.u;
		} else if (operand->type == ZYDIS_OPERAND_TYPE_REGISTER) {
			vector |= ZydisRegisterGetClass(reg) == ZYDIS_REGCLASS_XMM;
			if (operand->encoding == ZYDIS_OPERAND_ENCODING_MODRM_REG ||
			    (has_rm && !has_reg)) {
				insn->reg = x86_register_number(reg);
				has_reg = true;
			} else if (!has_rm) {
				insn->rm = x86_register_number(reg);
				has_rm = true;
			}
		}
	}
	insn->size = vector ? sizeof(union x86_xmm) : (uint8_t)(decoded->operand_width / 8);
}

x86_exec *x86_threaded(struct x86_insn *insn, x86_thread *thread)
{
	if (insn->memory && insn->base == X86_RIP) {
		insn->thread = x86_step_rip;
		insn->behind = thread;
	} else {
		insn->thread = thread;
	}
	return x86_execute_one;
}

static enum x86_place place_of(const ZydisDecodedInstruction *decoded, const struct x86_insn *insn)
{
	switch (decoded->meta.category) {
	case ZYDIS_CATEGORY_COND_BR:
	case ZYDIS_CATEGORY_UNCOND_BR:
	case ZYDIS_CATEGORY_CALL:
	case ZYDIS_CATEGORY_RET: return X86_PLACE_LAST;
	default: return insn->rep ? X86_PLACE_LAST : X86_PLACE_ANY;
	}
}

enum x86_place x86_decode(const struct x86_decoders *decoders, enum x86_code_mode mode,
			  const uint8_t *bytes, size_t len, struct x86_insn *ret_insn)
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction decoded;
	struct x86_insn insn = {.thread = x86_step_last};
	enum x86_place place = X86_PLACE_ALONE;
	x86_exec *exec = NULL;
	ZyanStatus status;

	status = ZydisDecoderDecodeFull(&decoders->decoder[mode], bytes, len, &decoded, operands);
	if (status == ZYDIS_STATUS_NO_MORE_DATA && len < X86_MAX_LENGTH)
		return X86_PLACE_CUT;
	if (!ZYAN_SUCCESS(status)) {
		insn.length = 1; /* has no meaning: rip goes back to the start */
		insn.exec = status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG ||
					    status == ZYDIS_STATUS_NO_MORE_DATA
				    ? exec_too_long
				    : exec_undefined;
		*ret_insn = insn;
		return X86_PLACE_ALONE;
	}

	insn.length = decoded.length;
	insn.mnemonic = (uint16_t)decoded.mnemonic;
	insn.address_size = (uint8_t)(decoded.address_width / 8);
	insn.lock = decoded.attributes & ZYDIS_ATTRIB_HAS_LOCK;
	insn.rep = repeat_prefix(&decoded);
	take_operands(&decoded, operands, &insn);
	insn.flat =
		mode == X86_CODE_64 &&
		(!insn.memory || (insn.address_size == sizeof(uint64_t) && insn.segment < X86_FS));

	if (!x86_isa_offered(decoded.meta.isa_set)) {
		exec = exec_undefined;
	} else {
		exec = x86_select_integer(&decoded, operands, &insn);
		if (!exec)
			exec = x86_select_string(&decoded, operands, &insn);
		if (!exec)
			exec = x86_select_sse(&decoded, operands, &insn);
		if (exec)
			place = place_of(&decoded, &insn);
		else
			exec = x86_select_system(&decoded, operands, &insn);
	}
	if (!exec)
		exec = x86_exec_unimplemented;
	if (exec != x86_execute_one) {
		insn.thread = place == X86_PLACE_ANY ? x86_step : x86_step_last;
		insn.exec = exec;
	}
	*ret_insn = insn;
	return place;
}
