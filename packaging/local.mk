# packaging: what makes Umbra a part of a system: the services, their users, their configuration, manuals.
EXTRA_DIST += \
	packaging/install-packages \
	packaging/packages-build \
	packaging/packages-full \
	packaging/packages-test \
	packaging/systemd/umbra-collect.service.in \
	packaging/systemd/umbra.sysusers \
	packaging/systemd/umbrad.service.in \
	packaging/umbra.conf.in

# A row a manual page.
dist_man_MANS = \
	packaging/man/umbra.1 \
	packaging/man/umbra-collect.8 \
	packaging/man/umbra.conf.5 \
	packaging/man/umbrad.8

# Examples for those who run Prometheus.
prometheusdir = $(pkgdatadir)/prometheus
dist_prometheus_DATA = \
	packaging/prometheus/umbra-alerts.yml \
	packaging/prometheus/umbra-rules.yml \
	packaging/prometheus/umbra.yml

completionsdir = $(datadir)/bash-completion/completions
dist_completions_DATA = packaging/completions/umbra

# What has the directories of this build in it.
PACKAGING_UNITS = packaging/systemd/umbra-collect.service packaging/systemd/umbrad.service
PACKAGING_MADE = $(PACKAGING_UNITS) packaging/umbra.conf
noinst_DATA += packaging/umbra.conf
CLEANFILES += $(PACKAGING_MADE)
FILL_IN = $(AM_V_GEN)$(MKDIR_P) $(@D) && sed -e 's|@sbindir[@]|$(sbindir)|g' \
	-e 's|@pkgdatadir[@]|$(pkgdatadir)|g' $(srcdir)/$@.in >$@
packaging/systemd/umbra-collect.service: packaging/systemd/umbra-collect.service.in Makefile
	$(FILL_IN)
packaging/systemd/umbrad.service: packaging/systemd/umbrad.service.in Makefile
	$(FILL_IN)
packaging/umbra.conf: packaging/umbra.conf.in Makefile
	$(FILL_IN)

# Without libsystemd umbrad would never tell systemd that it is ready. The file of sysusers.d has
# the name of the user, as is usual there.
sysusers_conf = $(DESTDIR)$(sysusersdir)/umbra.conf
if SYSTEMD
systemdsystemunit_DATA = $(PACKAGING_UNITS)
install-sysusers:
	$(MKDIR_P) '$(DESTDIR)$(sysusersdir)'
	$(INSTALL_DATA) $(srcdir)/packaging/systemd/umbra.sysusers '$(sysusers_conf)'
else
install-sysusers:
endif
.PHONY: install-sysusers

# The configuration is the operator's: not written over, and not taken away once it was changed.
umbra_conf = $(DESTDIR)$(sysconfdir)/umbra/umbra.conf
install-data-local: install-sysusers packaging/umbra.conf
	$(MKDIR_P) '$(DESTDIR)$(sysconfdir)/umbra'
	test -e '$(umbra_conf)' || $(INSTALL_DATA) packaging/umbra.conf '$(umbra_conf)'
uninstall-local: packaging/umbra.conf
	if cmp -s packaging/umbra.conf '$(umbra_conf)'; then rm -f '$(umbra_conf)'; fi
	rm -f '$(sysusers_conf)'

# The directories that are Umbra's own; what somebody else put into them keeps them.
uninstall-hook:
	for directory in '$(guestsdir)' '$(schemasdir)' '$(prometheusdir)' '$(pkgdatadir)' \
		'$(sysconfdir)/umbra'; do \
		rmdir "$(DESTDIR)$$directory" 2>/dev/null || true; \
	done

# Where this build would install, for tests.
print-places:
	@echo 'sysconfdir = $(sysconfdir)'
	@echo 'pkgdatadir = $(pkgdatadir)'
.PHONY: print-places

PACKAGING_TESTS = \
	tests/integration/test_install.py \
	tests/integration/test_manual.py \
	tests/integration/test_service_boot.py \
	tests/integration/test_unit.py
TESTS += $(PACKAGING_TESTS)
EXTRA_DIST += $(PACKAGING_TESTS) tests/integration/service_boot.sh
