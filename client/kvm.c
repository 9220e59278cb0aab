/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sysexits.h>

#include "client/kvm.h"

#define DEVICE "/dev/kvm"

static int open_device(const struct options *options, int *ret_fd)
{
	*ret_fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	if (*ret_fd >= 0)
		return 0;
	return options_refuse(options, EX_UNAVAILABLE, "--engine kvm: " DEVICE ": %s%s",
			      strerror(errno),
			      errno == EACCES ? "; who uses it must be in its group (kvm)" : "");
}

int kvm_open(const struct options *options, const struct mode_choice *choice, int *ret_fd,
	     struct kvm_host *ret_host)
{
	kvm_host_read("/sys", ret_host);
	if (!ret_host->available)
		return options_refuse(options, EX_UNAVAILABLE, "--engine kvm: %s",
				      ret_host->reason);
	if (ret_host->mode == UMBRA_MODE_COUNT)
		return options_refuse(options, EX_UNAVAILABLE,
				      "--engine kvm: the mode of the host's KVM is not known: %s",
				      ret_host->reason);
	if (options->modes_given && choice->mode != ret_host->mode)
		return options_refuse(options, EX_UNAVAILABLE,
				      "--mode %s: the host's KVM has %s: %s",
				      mode_choice_name(choice), umbra_mode_name(ret_host->mode),
				      ret_host->reason);
	if (!*ret_host->module)
		options_refuse(
			options, 0,
			"warning: the host's KVM has no hardware virtualization: it emulates "
			"what runs at CPL 0, all of a small guest, about a million "
			"instructions a second; --engine soft is faster");
	return open_device(options, ret_fd);
}
