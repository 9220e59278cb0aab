/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A VM that does nothing but exit: what an exit costs with and without a tracer.
 *   exit_cost EXITS [BATCHES]
 * Its guest executes CPUID, which KVM handles without its owner, EXITS times a batch. Prints the
 * nanoseconds an exit of the fastest batch and of the median one, in the thread's own time.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>

enum { PAGE = 4096, CODE = 0x1000, COUNT_AT = 2, BATCHES_MAX = 1000 };

/* Real mode, 16 bits: mov esi, EXITS; 1: xor eax, eax; cpuid; dec esi; jnz 1b; hlt */
static const uint8_t code[] = {0x66, 0xbe, 0,    0,    0,    0,    0x66, 0x31,
			       0xc0, 0x0f, 0xa2, 0x66, 0x4e, 0x75, 0xf7, 0xf4};

static int call(int fd, const char *name, unsigned long request, uintptr_t argument)
{
	int ret = ioctl(fd, request, argument);

	if (ret < 0)
		err(1, "%s", name);
	return ret;
}

static unsigned long number(const char *text, unsigned long max)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*end || !value || value > max)
		errx(64, "%s: wanted a number from 1 to %lu", text, max);
	return value;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* From the start of the guest's code to its HLT, in nanoseconds. */
static double batch(int vcpu, const struct kvm_run *run)
{
	struct kvm_regs regs = {.rip = CODE, .rflags = 2};
	struct timespec start, end;

	call(vcpu, "KVM_SET_REGS", KVM_SET_REGS, (uintptr_t)&regs);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
	while (ioctl(vcpu, KVM_RUN, 0) < 0)
		if (errno != EINTR)
			err(1, "KVM_RUN");
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
	if (run->exit_reason != KVM_EXIT_HLT)
		errx(1, "KVM_RUN: exit %u, wanted HLT", run->exit_reason);
	return 1e9 * (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec);
}

int main(int argc, char **argv)
{
	uint32_t exits = argc > 1 ? (uint32_t)number(argv[1], UINT32_MAX) : 1000;
	size_t batches = argc > 2 ? number(argv[2], BATCHES_MAX) : 1;
	double each[BATCHES_MAX];
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm < 0)
		err(69, "/dev/kvm");
	int vm = call(kvm, "KVM_CREATE_VM", KVM_CREATE_VM, 0);
	uint8_t *memory =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		err(1, "mmap");
	memcpy(memory, code, sizeof(code));
	memcpy(memory + COUNT_AT, &exits, sizeof(exits));
	struct kvm_userspace_memory_region region = {
		.guest_phys_addr = CODE, .memory_size = PAGE, .userspace_addr = (uintptr_t)memory};

	call(vm, "KVM_SET_USER_MEMORY_REGION", KVM_SET_USER_MEMORY_REGION, (uintptr_t)&region);
	int vcpu = call(vm, "KVM_CREATE_VCPU", KVM_CREATE_VCPU, 0);
	size_t size = (size_t)call(kvm, "KVM_GET_VCPU_MMAP_SIZE", KVM_GET_VCPU_MMAP_SIZE, 0);
	struct kvm_run *run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);

	if (run == MAP_FAILED)
		err(1, "mmap of the vCPU");
	struct kvm_sregs sregs;

	call(vcpu, "KVM_GET_SREGS", KVM_GET_SREGS, (uintptr_t)&sregs);
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	call(vcpu, "KVM_SET_SREGS", KVM_SET_SREGS, (uintptr_t)&sregs);
	for (size_t i = 0; i < batches; i++)
		each[i] = batch(vcpu, run) / exits;
	qsort(each, batches, sizeof(*each), by_size);
	printf("%zu batches of %u exits: %.1f ns an exit, median %.1f\n", batches, exits, each[0],
	       each[batches / 2]);
	return 0;
}
