/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rows to forms. */
#include <stdlib.h>
#include <string.h>

#include "native.h"

static const struct {
	const char *word;
	uint64_t bit;
} native_words[] = {
	{"lock", WORD_LOCK},
	{"rep", WORD_REP},
	{"repcc", WORD_REP | WORD_REPCC},
	{"o64", WORD_ONLY64},
	{"o32", WORD_ONLY32},
	{"d64", WORD_DEFAULT},
	{"fx", WORD_FX},
	{"count", WORD_COUNT},
	{"divide", WORD_DIVIDE},
	{"bit", WORD_BIT},
	{"string", WORD_STRING},
	{"stack", WORD_STACK},
	{"target", WORD_TARGET},
	{"equal", WORD_EQUAL},
	{"xlat", WORD_XLAT},
	{"align", WORD_ALIGN},
	{"align64", WORD_ALIGN64},
	{"atomic", WORD_ATOMIC},
	{"flags", WORD_FLAGS},
	{"small", WORD_SMALL},
	{"rdi", WORD_RDI},
	{"nolock", WORD_NOLOCK},
	{"shift", WORD_SHIFT | WORD_COUNT},
	{"double", WORD_DOUBLE | WORD_COUNT},
	{"rotate", WORD_ROTATE | WORD_COUNT},
	{"empty", WORD_EMPTY},
	{"mmx", WORD_MMX | WORD_FX},
	{"bound", WORD_BOUND},
	{"decimal", WORD_DECIMAL},
	{"approx", WORD_APPROX},
	{"huge", WORD_HUGE},
	{"nan", WORD_NAN},
	{"inside", WORD_INSIDE},
	{"unmasked", WORD_UNMASKED},
	{"c1", WORD_C1},
	{"late", WORD_LATE},
	{"mxcsr", WORD_MXCSR},
	{"store", WORD_STORE},
	{"parts", WORD_PARTS},
	{"pushed", WORD_PUSHED},
};

static const char *const features[] = {
	"sse3", "ssse3", "cx16", "sse4.1", "sse4.2",     "movbe", "popcnt", "xsave",
	"bmi1", "bmi2",  "adx",  "lzcnt",  "clflushopt", "clwb",  "lahf",   "prefetchw",
};

#define SIZE_LETTERS "bwdq"
#define KIND_REG     1u
#define KIND_MEMORY  2u

/* What the words of a row say. */
struct choice {
	char sizes[8]; /* letters; empty: no operand size */
	unsigned kinds;
	uint64_t words;
	const char *feature;
};

static bool parse_word(const char *word, struct choice *choice)
{
	for (unsigned i = 0; i < sizeof(native_words) / sizeof(native_words[0]); i++) {
		if (!strcmp(word, native_words[i].word)) {
			choice->words |= native_words[i].bit;
			return true;
		}
	}
	for (unsigned i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		if (!strcmp(word, features[i])) {
			choice->feature = features[i];
			return true;
		}
	}
	if (!strcmp(word, "r") || !strcmp(word, "m") || !strcmp(word, "rm")) {
		choice->kinds |= strchr(word, 'r') ? KIND_REG : 0;
		choice->kinds |= strchr(word, 'm') ? KIND_MEMORY : 0;
		return true;
	}
	if (strspn(word, SIZE_LETTERS) == strlen(word) && strlen(word) < sizeof(choice->sizes)) {
		memcpy(choice->sizes, word, strlen(word) + 1);
		return true;
	}
	return false;
}

static bool parse_vex(char *token, struct native_form *form)
{
	char *save, *part = strtok_r(token, ":", &save);
	char *pp = strtok_r(NULL, ":", &save), *map = strtok_r(NULL, ":", &save);

	(void)part;
	if (!pp || !map)
		return false;
	form->vex = true;
	form->vex_pp = !strcmp(pp, "66") ? 1 : !strcmp(pp, "f3") ? 2 : !strcmp(pp, "f2") ? 3 : 0;
	form->vex_map = !strcmp(map, "0f") ? 1 : !strcmp(map, "0f38") ? 2 : 3;
	form->vex_operand = strtok_r(NULL, ":", &save) != NULL;
	return true;
}

static bool parse_token(char *token, struct native_form *form)
{
	struct native_token *t = &form->tokens[form->nr_tokens];
	char *rest;
	unsigned long byte;

	if (!strncmp(token, "vex:", 4))
		return parse_vex(token, form);
	if (token[0] == '/') {
		form->modrm = token[1] == 'r' ? 8 : (int8_t)(token[1] - '0');
		form->nr_opcode = form->nr_tokens;
		return true;
	}
	if (form->nr_tokens == NATIVE_MAX_TOKENS)
		return false;
	if (!strcmp(token, "ib") || !strcmp(token, "iw") || !strcmp(token, "id") ||
	    !strcmp(token, "iz") || !strcmp(token, "iv")) {
		*t = (struct native_token){.kind = TOKEN_IMM, .whole = token[1] == 'v'};
		t->byte = token[1] == 'b' ? 1 : token[1] == 'w' ? 2 : token[1] == 'd' ? 4 : 0;
	} else if (!strcmp(token, "ob") || !strcmp(token, "oz")) {
		*t = (struct native_token){.kind = TOKEN_TARGET, .byte = token[1] == 'b'};
	} else if (!strcmp(token, "mo")) {
		*t = (struct native_token){.kind = TOKEN_MOFFS};
	} else {
		byte = strtoul(token, &rest, 16);
		if (rest != token + 2)
			return false;
		t->byte = (uint8_t)byte;
		t->kind = !strcmp(rest, "+r")   ? TOKEN_REG
			  : !strcmp(rest, "+i") ? TOKEN_STACK
						: TOKEN_BYTE;
		if (!form->nr_tokens && !form->mandatory && !form->vex &&
		    (byte == 0x66 || byte == 0xf2 || byte == 0xf3)) {
			form->mandatory = t->byte;
			return true;
		}
	}
	form->nr_tokens++;
	return true;
}

static bool parse(const struct native_row *row, struct native_form *form, struct choice *choice)
{
	char text[64], *save, *token;

	memset(choice, 0, sizeof(*choice));
	form->modrm = -1;
	form->row = row;
	snprintf(text, sizeof(text), "%s", row->encoding);
	for (token = strtok_r(text, " ", &save); token; token = strtok_r(NULL, " ", &save))
		if (!parse_token(token, form))
			return false;
	snprintf(text, sizeof(text), "%s", row->words);
	for (token = strtok_r(text, " ", &save); token; token = strtok_r(NULL, " ", &save))
		if (!parse_word(token, choice))
			return false;
	form->words = choice->words;
	form->feature = choice->feature;
	/* ModRM and kinds go together. */
	return (form->modrm >= 0) == (choice->kinds != 0);
}

static void name_form(struct native_form *form, char size, unsigned kinds)
{
	static const char *const prefixes[] = {"", "lock ", "repe ", "repne "};

	snprintf(form->name, sizeof(form->name), "%s%s [%s]%s%c%s", prefixes[form->prefix],
		 form->row->name, form->row->encoding, size ? " " : "", size ? size : '\0',
		 !kinds         ? ""
		 : form->memory ? " m"
				: " r");
	/* Without a size the name ended early. */
	if (!size && kinds)
		snprintf(form->name, sizeof(form->name), "%s%s [%s] %s", prefixes[form->prefix],
			 form->row->name, form->row->encoding, form->memory ? "m" : "r");
}

static unsigned prefixes_of(const struct choice *choice, bool memory)
{
	unsigned prefixes = 1u << PREFIX_NONE;

	if ((choice->words & WORD_LOCK) && memory)
		prefixes |= 1u << PREFIX_LOCK;
	if (choice->words & WORD_REP)
		prefixes |= 1u << PREFIX_REPE | 1u << PREFIX_REPNE;
	return prefixes;
}

/* Adds the forms of one row to @forms, where that is not NULL; how many. */
static size_t expand(const struct native_family *family, const struct native_row *row,
		     struct native_form *forms)
{
	struct native_form base = {.family = family}, *form;
	struct choice choice;
	const char *size;
	size_t nr = 0;

	if (!parse(row, &base, &choice)) {
		fprintf(stderr, "# no valid row: %s \"%s\" \"%s\"\n", row->name, row->encoding,
			row->words);
		abort();
	}
	size = choice.sizes;
	do {
		for (unsigned memory = 0; memory < 2; memory++) {
			unsigned prefixes = prefixes_of(&choice, memory);

			if (choice.kinds ? !(choice.kinds & (memory ? KIND_MEMORY : KIND_REG))
					 : memory)
				continue;
			for (unsigned prefix = 0; prefix < 4; prefix++) {
				if (!(prefixes >> prefix & 1))
					continue;
				if (forms) {
					form = &forms[nr];
					*form = base;
					form->size =
						*size ? (uint8_t)(1u
								  << (strchr(SIZE_LETTERS, *size) -
								      SIZE_LETTERS))
						      : 0;
					form->memory = memory;
					form->prefix = (uint8_t)prefix;
					name_form(form, *size, choice.kinds);
				}
				nr++;
			}
		}
	} while (*size && *++size);
	return nr;
}

struct native_form *native_forms(size_t *ret_nr)
{
	struct native_form *forms = NULL;
	size_t nr = 0;

	for (unsigned pass = 0; pass < 2; pass++) {
		if (pass) {
			forms = calloc(nr, sizeof(*forms));
			if (!forms)
				return NULL;
		}
		nr = 0;
		for (const struct native_family *f = native_families; f->name; f++)
			for (const struct native_row *row = f->rows; row->name; row++)
				nr += expand(f, row, forms ? &forms[nr] : NULL);
	}
	*ret_nr = nr;
	return forms;
}

bool native_form_has_mode(const struct native_form *form, enum native_mode mode)
{
	if (mode == NATIVE_64)
		return !(form->words & WORD_ONLY32) &&
		       !((form->words & WORD_DEFAULT) && form->size == 4);
	return !(form->words & WORD_ONLY64) && form->size != 8;
}
