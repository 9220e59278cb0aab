/* SPDX-License-Identifier: GPL-2.0-or-later */
/* In the place of collectors/kvm_exits.c where libbpf, clang or bpftool was missing. */
#include <stdio.h>

#include "collectors/collector.h"

static void *create(const struct collector_settings *settings)
{
	static char self;

	return &self;
}

static void destroy(void *self)
{
}

static void update(void *self, const struct vm *vm)
{
}

static void sample(void *self, const struct vm *vm, struct vm_sample *sample)
{
}

static void state(void *self, char ret_state[COLLECTOR_STATE_MAX])
{
	snprintf(ret_state, COLLECTOR_STATE_MAX,
		 "unsupported: built without BPF (libbpf, clang, bpftool)");
}

size_t kvm_exits_threads(void *self, struct vcpu_thread *ret, size_t max)
{
	return 0;
}

const struct collector kvm_exits_collector = {
	.name = "kvm_exits",
	.create = create,
	.destroy = destroy,
	.update = update,
	.remove = update,
	.sample = sample,
	.state = state,
};
