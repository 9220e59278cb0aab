/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Several processors. What a guest computes does not depend on how many there are: its work is cut
 * into lanes, whose number is fixed, and lane i is the work of processor i % nr_processors.
 */
#ifndef GUESTS_LIB_PROCESSORS_H
#define GUESTS_LIB_PROCESSORS_H

#include <stdint.h>

#define MAX_CPUS 8u
#define LANES    8u

extern unsigned nr_processors;

/* Starts those that the firmware configuration names, 8 at most. Before anything else. */
void processors_start(void);
/* 0: the boot processor. */
unsigned processor_number(void);

/* Every processor executes @work with its number; returns when all have. Boot processor only. */
void on_processors(void (*work)(unsigned processor));
/* Every lane's work is done; returns when all is. Boot processor only, work may not call it. */
void run_lanes(void (*work)(unsigned lane));
/* How much of @total is lane's, and where it begins when the lanes' parts follow each other. */
uint64_t lane_share(uint64_t total, unsigned lane);
uint64_t lane_first(uint64_t total, unsigned lane);

/* An interrupt of @vector (32 ... 63) for every processor but this one. */
void interrupt_others(unsigned vector);
/* Said by the handler of such an interrupt. */
void end_of_interrupt(void);

static inline void pause(void)
{
	__asm__ volatile("pause" : : : "memory");
}

/* Spin locks; 0: free. */
static inline void lock(uint32_t *word)
{
	while (__atomic_exchange_n(word, 1, __ATOMIC_ACQUIRE))
		pause();
}

static inline void unlock(uint32_t *word)
{
	__atomic_store_n(word, 0, __ATOMIC_RELEASE);
}

/* runtime.c: what each processor does for itself. */
void idt_load(void);

#endif
