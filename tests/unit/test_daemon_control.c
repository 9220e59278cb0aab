/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/control.h"

static void worker_sees_at_once_what_umbrad_says(void **state)
{
	int fd;
	struct control *control = control_create(&fd);
	const struct control *seen;

	assert_non_null(control);
	seen = control_map(fd);
	assert_non_null(seen);
	assert_ptr_not_equal(seen, control);
	assert_false(control_frozen(seen));
	control_set_frozen(control, true);
	assert_true(control_frozen(seen));
	control_set_frozen(control, false);
	assert_false(control_frozen(seen));
	control_unmap(seen);
	control_unmap(control);
	close(fd);
}

static void worker_cannot_write_to_it(void **state)
{
	static const char byte = 1;
	int fd;
	struct control *control = control_create(&fd);
	void *seen = (void *)control_map(fd);

	assert_non_null(control);
	assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	assert_int_equal(errno, EPERM);
	assert_int_equal(mprotect(seen, 4096, PROT_READ | PROT_WRITE), -1);
	assert_int_equal(pwrite(fd, &byte, 1, 0), -1);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_false(control_frozen(control));
	control_unmap(seen);
	control_unmap(control);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(worker_sees_at_once_what_umbrad_says),
		cmocka_unit_test(worker_cannot_write_to_it),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
