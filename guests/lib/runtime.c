/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>

#include "lib/ports.h"
#include "lib/processors.h"
#include "lib/runtime.h"

#define UART              0x3f8
#define UART_THR          (UART + 0)
#define UART_IER          (UART + 1)
#define UART_FCR          (UART + 2)
#define UART_LCR          (UART + 3)
#define UART_MCR          (UART + 4)
#define UART_LSR          (UART + 5)
#define LCR_8N1           0x03
#define FCR_ENABLE        0x07
#define MCR_DTR_RTS       0x03
#define LSR_THRE          0x20

#define DEBUG_EXIT        0xf4

#define MULTIBOOT_MAGIC   0x2badb002
#define MULTIBOOT_MEMORY  (1u << 0)
#define MULTIBOOT_CMDLINE (1u << 2)

/* Loaders may put boot information right behind the image. */
#define HEAP_START         0x400000ul
#define HEAP_LIMIT         0x80000000ul /* of what is mapped to itself */

#define KERNEL_CS          0x08
#define IDT_INTERRUPT_GATE 0x8e00u
#define STUB_SIZE          16
#define NR_EXCEPTIONS      32
#define NR_VECTORS         64
#define VECTOR_PF          14

#define CR0_MP             (1ul << 1)
#define CR0_EM             (1ul << 2)
#define CR4_OSFXSR         (1ul << 9)
#define CR4_OSXMMEXCPT     (1ul << 10)

struct multiboot_info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline;
};

struct gate {
	uint16_t offset_low, selector, type, offset_middle;
	uint32_t offset_high, reserved;
};

struct frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector, error_code;
	uint64_t rip, cs, rflags, rsp, ss;
};

extern const char exception_stubs[], _end[];
extern uint64_t boot_pml4[];

void runtime_start(uint32_t magic, const struct multiboot_info *info);
void exception(struct frame *frame);
void *memset(void *to, int byte, size_t len);
void *memcpy(void *to, const void *from, size_t len);

bool (*page_fault_hook)(uint64_t address, uint64_t error_code);
void (*interrupt_hook)(unsigned vector);

static struct gate idt[NR_VECTORS];
static char cmdline[1024];
static uint64_t heap = HEAP_START, heap_end;
static uint32_t tables_lock;

/* The compiler calls these for structs; it must not turn their loops into calls of themselves. */
__attribute__((optimize("no-tree-loop-distribute-patterns"))) void *memset(void *to, int byte,
									   size_t len)
{
	char *p = to;

	while (len--)
		*p++ = (char)byte;
	return to;
}

__attribute__((optimize("no-tree-loop-distribute-patterns"))) void *memcpy(void *to,
									   const void *from,
									   size_t len)
{
	char *p = to;
	const char *q = from;

	while (len--)
		*p++ = *q++;
	return to;
}

static void console_init(void)
{
	outb(UART_IER, 0);
	outb(UART_LCR, LCR_8N1);
	outb(UART_FCR, FCR_ENABLE);
	outb(UART_MCR, MCR_DTR_RTS);
}

static void put_char(char c)
{
	while (!(inb(UART_LSR) & LSR_THRE))
		;
	outb(UART_THR, (uint8_t)c);
}

static void put_string(const char *s)
{
	while (*s)
		put_char(*s++);
}

static void put_number(uint64_t value, unsigned base, unsigned width)
{
	char digits[20];
	unsigned n = 0;

	do {
		digits[n++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	while (width > n) {
		put_char('0');
		width--;
	}
	while (n)
		put_char(digits[--n]);
}

static void print_arguments(const char *format, va_list arguments)
{
	for (; *format; format++) {
		unsigned width = 0;

		if (*format != '%') {
			put_char(*format);
			continue;
		}
		format++;
		while (*format >= '0' && *format <= '9')
			width = width * 10 + (unsigned)(*format++ - '0');
		if (*format == 'l')
			format++;
		switch (*format) {
		case 's': put_string(va_arg(arguments, const char *)); break;
		case 'u': put_number(va_arg(arguments, uint64_t), 10, width); break;
		case 'x': put_number(va_arg(arguments, uint64_t), 16, width); break;
		default: put_char(*format);
		}
	}
}

void print(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print_arguments(format, arguments);
	va_end(arguments);
}

static _Noreturn void leave(uint32_t value)
{
	outl(DEBUG_EXIT, value);
	for (;;)
		__asm__ volatile("cli; hlt");
}

_Noreturn void fail(const char *format, ...)
{
	va_list arguments;

	print("%s: ", guest.name);
	va_start(arguments, format);
	print_arguments(format, arguments);
	va_end(arguments);
	print("\n");
	leave(1);
}

uint64_t pages_alloc(uint64_t n)
{
	uint64_t first = __atomic_fetch_add(&heap, n * PAGE_SIZE, __ATOMIC_RELAXED);

	if (n > heap_end / PAGE_SIZE || first + n * PAGE_SIZE > heap_end)
		fail("out of memory: %lu pages are all there are",
		     (heap_end - HEAP_START) / PAGE_SIZE);
	return first; /* RAM is zero at the start and no page comes back */
}

uint64_t page_alloc(void)
{
	return pages_alloc(1);
}

uint64_t cr3_read(void)
{
	uint64_t value;

	__asm__ volatile("mov %%cr3, %0" : "=r"(value));
	return value & PTE_ADDRESS;
}

uint64_t space_create(void)
{
	uint64_t root = page_alloc();

	*(uint64_t *)at(root) = boot_pml4[0];
	return root;
}

/*
 * Nothing is cached of an entry that was not present; a split maps the same, until changed. Another
 * processor may have made the same table meanwhile.
 */
static void make_table(uint64_t *entry, unsigned shift)
{
	uint64_t table, *entries;

	lock(&tables_lock);
	if (!(*entry & PTE_P) || (*entry & PTE_PS)) {
		table = page_alloc();
		entries = at(table);
		if (*entry & PTE_P)
			for (uint64_t i = 0; i < 512; i++)
				entries[i] = (*entry & ~PTE_PS) + (i << (shift - 9));
		*(volatile uint64_t *)entry = table | PTE_P | PTE_W;
	}
	unlock(&tables_lock);
}

uint64_t *table_entry(uint64_t root, uint64_t address)
{
	uint64_t *table = at(root);

	for (unsigned shift = 39; shift > 12; shift -= 9) {
		uint64_t *entry = &table[address >> shift & 511];

		if (!(*entry & PTE_P)) {
			make_table(entry, shift);
		} else if (*entry & PTE_PS) {
			make_table(entry, shift);
			cr3_load(cr3_read());
		}
		table = at(*entry & PTE_ADDRESS);
	}
	return &table[address >> 12 & 511];
}

void map_page(uint64_t root, uint64_t address, uint64_t physical, uint64_t flags)
{
	*(volatile uint64_t *)table_entry(root, address) = physical | flags;
	invlpg(address);
}

void unmap_page(uint64_t root, uint64_t address)
{
	*(volatile uint64_t *)table_entry(root, address) = 0;
	invlpg(address);
}

struct rng rng_seed(uint64_t seed)
{
	struct rng rng = {mix(0x243f6a8885a308d3ul, seed)};

	if (!rng.state)
		rng.state = 1;
	return rng;
}

void enable_sse(void)
{
	uint64_t value;

	__asm__ volatile("mov %%cr0, %0" : "=r"(value));
	value = (value & ~CR0_EM) | CR0_MP;
	__asm__ volatile("mov %0, %%cr0" : : "r"(value));
	__asm__ volatile("mov %%cr4, %0" : "=r"(value));
	value |= CR4_OSFXSR | CR4_OSXMMEXCPT;
	__asm__ volatile("mov %0, %%cr4" : : "r"(value));
}

void exception(struct frame *frame)
{
	uint64_t address;

	if (frame->vector >= NR_EXCEPTIONS && interrupt_hook) {
		interrupt_hook((unsigned)frame->vector);
		return;
	}
	if (frame->vector != VECTOR_PF)
		fail("exception %lu, error code 0x%lx, at rip 0x%lx", frame->vector,
		     frame->error_code, frame->rip);
	__asm__ volatile("mov %%cr2, %0" : "=r"(address));
	if (!page_fault_hook || !page_fault_hook(address, frame->error_code))
		fail("page fault at 0x%lx, error code 0x%lx, at rip 0x%lx", address,
		     frame->error_code, frame->rip);
}

void idt_load(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) pointer = {sizeof(idt) - 1, (uint64_t)idt};

	__asm__ volatile("lidt %0" : : "m"(pointer));
}

static void idt_init(void)
{
	for (unsigned i = 0; i < NR_VECTORS; i++) {
		uint64_t stub = (uint64_t)exception_stubs + i * STUB_SIZE;

		idt[i] = (struct gate){
			.offset_low = (uint16_t)stub,
			.selector = KERNEL_CS,
			.type = IDT_INTERRUPT_GATE,
			.offset_middle = (uint16_t)(stub >> 16),
			.offset_high = (uint32_t)(stub >> 32),
		};
	}
	idt_load();
}

static bool parse_number(const char *s, uint64_t *ret)
{
	uint64_t value = 0;
	unsigned base = 10;

	if (s[0] == '0' && s[1] == 'x') {
		base = 16;
		s += 2;
	}
	if (!*s)
		return false;
	for (; *s; s++) {
		unsigned digit;

		if (*s >= '0' && *s <= '9')
			digit = (unsigned)(*s - '0');
		else if (*s >= 'a' && *s <= 'f')
			digit = (unsigned)(*s - 'a') + 10;
		else
			return false;
		if (digit >= base || value > (UINT64_MAX - digit) / base)
			return false;
		value = value * base + digit;
	}
	*ret = value;
	return true;
}

/* The value's text in "name=value", or NULL. */
static const char *value_of(const char *word, const char *name)
{
	while (*name && *word == *name) {
		word++;
		name++;
	}
	return !*name && *word == '=' ? word + 1 : NULL;
}

static void parse_word(const char *word)
{
	for (const struct parameter *p = guest.parameters; p->name; p++) {
		const char *text = value_of(word, p->name);
		uint64_t value;

		if (!text)
			continue;
		if (!parse_number(text, &value) || value < p->min || value > p->max)
			fail("%s: a number from %lu to %lu expected", word, p->min, p->max);
		*p->value = value;
		return;
	}
	fail("unknown parameter %s", word);
}

/* The first word is the image's name. */
static void parse_cmdline(void)
{
	char *s = cmdline;
	bool first = true;

	while (*s) {
		char *word = s, end;

		while (*s && *s != ' ')
			s++;
		end = *s;
		*s = 0;
		if (*word && !first)
			parse_word(word);
		if (*word)
			first = false;
		if (end)
			s++;
	}
}

void runtime_start(uint32_t magic, const struct multiboot_info *info)
{
	uint64_t checksum = 0;
	bool passed;

	console_init();
	idt_init();
	if (magic != MULTIBOOT_MAGIC || !(info->flags & MULTIBOOT_MEMORY))
		fail("not started by a multiboot loader that tells the memory size");
	if (info->flags & MULTIBOOT_CMDLINE) {
		const char *from = at(info->cmdline);
		size_t i;

		for (i = 0; from[i]; i++) {
			if (i == sizeof(cmdline) - 1)
				fail("the command line is longer than %lu characters",
				     sizeof(cmdline) - 1);
			cmdline[i] = from[i];
		}
	}
	heap_end = 0x100000 + (uint64_t)info->mem_upper * 1024;
	if (heap_end > HEAP_LIMIT)
		heap_end = HEAP_LIMIT;
	if (heap_end < HEAP_START)
		fail("needs more than %lu MiB of memory", HEAP_START >> 20);
	parse_cmdline();
	if (guest.parallel)
		processors_start();
	passed = guest.run(&checksum);
	print("checksum %016lx\n", checksum);
	if (!passed)
		fail("check failed");
	leave(0);
}
