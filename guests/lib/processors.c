/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Application processors: started by INIT and SIPI, then waiting for work (SDM 3A 8.4, 10.6). */
#include "lib/processors.h"

#include "lib/ports.h"
#include "lib/runtime.h"

/* fw_cfg as QEMU has it: a selector, then bytes. */
#define FW_CFG_SELECT  0x510
#define FW_CFG_DATA    0x511
#define FW_CFG_QEMU    0x00
#define FW_CFG_NB_CPUS 0x05

/* Both interrupt controllers' masks: the firmware may have left the timer on. */
#define PIC_MASTER_MASK 0x21
#define PIC_SLAVE_MASK  0xa1

#define APIC_BASE       0xfee00000ul
#define APIC_EOI        0x0b0
#define APIC_SVR        0x0f0
#define APIC_ICR        0x300
#define APIC_ICR_HIGH   0x310
#define SVR_ENABLE      (1u << 8)
#define SPURIOUS_VECTOR 63
#define ICR_INIT        (5u << 8)
#define ICR_SIPI        (6u << 8)
#define ICR_PENDING     (1u << 12)
#define ICR_ASSERT      (1u << 14)
#define ICR_OTHERS      (3u << 18)

#define PTE_PWT         (1ul << 3)
#define PTE_PCD         (1ul << 4)

#define TRAMPOLINE      0x8000ul
#define STACK_SIZE      16384ul
/* Looks at a processor that was started, before it is started again. */
#define PATIENCE 1000000u

extern const char trampoline[], trampoline_end[];
extern char stacks[];
extern volatile uint32_t processor_stack;
extern uint64_t boot_pml4[];

void processor_main(void);

unsigned nr_processors = 1;

static volatile unsigned running = 1; /* processors that have come up */
static void (*volatile work)(unsigned processor);
static volatile unsigned generation; /* of the work */
static unsigned done;                /* processors that have finished it */
static void (*lane_work)(unsigned lane);

static volatile uint32_t *apic(unsigned offset)
{
	return at(APIC_BASE + offset);
}

unsigned processor_number(void)
{
	return (unsigned)(((uint64_t)__builtin_frame_address(0) - (uint64_t)stacks) / STACK_SIZE);
}

static unsigned fw_cfg_processors(void)
{
	const char *signature = "QEMU";
	unsigned number;

	outw(FW_CFG_SELECT, FW_CFG_QEMU);
	for (; *signature; signature++)
		if (inb(FW_CFG_DATA) != (uint8_t)*signature)
			return 1;
	outw(FW_CFG_SELECT, FW_CFG_NB_CPUS);
	number = inb(FW_CFG_DATA);
	number |= (unsigned)inb(FW_CFG_DATA) << 8;
	return number > MAX_CPUS ? MAX_CPUS : number;
}

/* The APIC's registers, in the fourth GiB of the boot tables, which all spaces share. */
static void map_apic(void)
{
	uint64_t *pdpt = at(boot_pml4[0] & PTE_ADDRESS), *directory;
	uint64_t table = page_alloc();

	directory = at(table);
	directory[APIC_BASE >> 21 & 511] =
		(APIC_BASE & ~((1ul << 21) - 1)) | PTE_P | PTE_W | PTE_PS | PTE_PCD | PTE_PWT;
	*(volatile uint64_t *)&pdpt[APIC_BASE >> 30] = table | PTE_P | PTE_W;
}

static void send(uint32_t destination, uint32_t command)
{
	while (*apic(APIC_ICR) & ICR_PENDING)
		pause();
	*apic(APIC_ICR_HIGH) = destination << 24;
	*apic(APIC_ICR) = command;
}

static bool comes_up(unsigned processor)
{
	for (unsigned i = 0; i < PATIENCE; i++) {
		if (running > processor)
			return true;
		pause();
	}
	return false;
}

/* One after the other, so that each knows which it is: its APIC ID is its number. */
static void start(unsigned processor)
{
	processor_stack = (uint32_t)((uint64_t)stacks + (processor + 1) * STACK_SIZE);
	send(processor, ICR_INIT | ICR_ASSERT);
	send(processor, ICR_SIPI | ICR_ASSERT | TRAMPOLINE >> 12);
	if (comes_up(processor))
		return;
	/* The manual's second SIPI, for those that missed the first. */
	send(processor, ICR_SIPI | ICR_ASSERT | TRAMPOLINE >> 12);
	if (!comes_up(processor))
		fail("processor %lu does not come up", (uint64_t)processor);
}

static void apic_enable(void)
{
	*apic(APIC_SVR) = SVR_ENABLE | SPURIOUS_VECTOR;
}

/* Where the trampoline leads. */
void processor_main(void)
{
	unsigned number = processor_number(), seen = 0;

	idt_load();
	apic_enable();
	running = number + 1;
	for (;;) {
		while (generation == seen)
			pause();
		seen = generation;
		work(number);
		__atomic_fetch_add(&done, 1, __ATOMIC_RELEASE);
	}
}

void processors_start(void)
{
	unsigned number = fw_cfg_processors();
	volatile char *to = at(TRAMPOLINE);

	outb(PIC_MASTER_MASK, 0xff);
	outb(PIC_SLAVE_MASK, 0xff);
	if (number < 2)
		return;
	map_apic();
	for (size_t i = 0; i < (size_t)(trampoline_end - trampoline); i++)
		to[i] = trampoline[i];
	apic_enable();
	for (unsigned i = 1; i < number; i++)
		start(i);
	nr_processors = number;
}

void on_processors(void (*function)(unsigned processor))
{
	done = 0;
	work = function;
	__atomic_fetch_add(&generation, 1, __ATOMIC_RELEASE);
	function(0);
	while (__atomic_load_n(&done, __ATOMIC_ACQUIRE) != nr_processors - 1)
		pause();
}

static void work_lanes(unsigned processor)
{
	for (unsigned lane = processor; lane < LANES; lane += nr_processors)
		lane_work(lane);
}

void run_lanes(void (*function)(unsigned lane))
{
	lane_work = function;
	on_processors(work_lanes);
}

uint64_t lane_first(uint64_t total, unsigned lane)
{
	return total / LANES * lane + (total % LANES < lane ? total % LANES : lane);
}

uint64_t lane_share(uint64_t total, unsigned lane)
{
	return lane_first(total, lane + 1) - lane_first(total, lane);
}

void interrupt_others(unsigned vector)
{
	if (nr_processors > 1)
		send(0, ICR_OTHERS | ICR_ASSERT | vector);
}

void end_of_interrupt(void)
{
	*apic(APIC_EOI) = 0;
}
