# Builds the two programs and their tests. `make help` lists the targets.
#
#   make                 build/fcgi-api and build/ws-notifier
#   make CC=clang        with another compiler
#   make BUILD=build/x   somewhere else
#   make SANITIZE=1      with AddressSanitizer and UndefinedBehaviorSanitizer (into build/asan)
#   make SANITIZE=thread with ThreadSanitizer (into build/tsan)

SANITIZE ?=
BUILD    ?= $(if $(filter thread,$(SANITIZE)),build/tsan,$(if $(SANITIZE),build/asan,build))
# One name whether it was given absolute or not: the dependency files name their objects by it.
override BUILD := $(patsubst $(CURDIR)/%,%,$(BUILD))
CC       ?= cc
ifneq ($(words $(BUILD)),1)
$(error BUILD has a space in it ("$(BUILD)"): use a folder below $(CURDIR), or one without)
endif
PREFIX   ?= /usr/local
DESTDIR  ?=

PACKAGES := libcjson libmariadb libuv fcgi librabbitmq libwebsockets libssl libcrypto libjwt libseccomp
WARNINGS := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
            -Wwrite-strings -Wformat=2 -Wvla
CFLAGS   ?= -O2 -g
VERSION  := $(file <VERSION)
CPPFLAGS += -D_GNU_SOURCE -DCARILLON_RELEASE=$(VERSION) -I. $(shell pkg-config --cflags $(PACKAGES))
override CFLAGS += -std=c17 $(WARNINGS) -fno-strict-aliasing -fno-omit-frame-pointer

# What makes a hole in a program harder to use; `make hardening` looks for it in what was built. Each flag that not
# every compiler or processor has is tried first. The sanitizers see more than any of it, and collide with some.
ifeq ($(SANITIZE),thread)
override CFLAGS += -fsanitize=thread
else ifneq ($(SANITIZE),)
override CFLAGS += -fsanitize=address,undefined -fno-sanitize-recover=all
else
accepted = $(shell printf '\043include <stdio.h>\n' | $(CC) -O2 -Werror $(1) -x c -c -o /dev/null - 2>/dev/null && echo '$(1)')
fortify  = -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=$(1)
HARDENING := -fstack-protector-strong -fPIE $(call accepted,-fstack-clash-protection)
HARDENING += $(firstword $(call accepted,-fcf-protection=full) $(call accepted,-mbranch-protection=standard))
# Its checks are made while optimizing: without that the headers refuse it.
HARDENING += $(if $(filter -O1 -O2 -O3 -Os -Og,$(CFLAGS)),$(or $(call accepted,$(call fortify,3)),$(call fortify,2)))
override CFLAGS += $(HARDENING)
PROGRAM_LDFLAGS := -pie -Wl,-z,relro,-z,now,-z,noexecstack
endif

# One archive a folder; a test links all three and draws in only what it names.
COMMON_OBJECTS   := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard common/*.c common/*/*.c))
API_OBJECTS      := $(patsubst %.c,$(BUILD)/obj/%.o,$(filter-out fcgi-api/main.c,$(wildcard fcgi-api/*.c fcgi-api/*/*.c)))
NOTIFIER_OBJECTS := $(patsubst %.c,$(BUILD)/obj/%.o,$(filter-out ws-notifier/main.c,$(wildcard ws-notifier/*.c)))
ARCHIVES         := $(BUILD)/libapi.a $(BUILD)/libnotifier.a $(BUILD)/libcommon.a
UNIT_TESTS       := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_*.c))
SOURCES          := $(wildcard common/*.[ch] common/*/*.[ch] fcgi-api/*.[ch] fcgi-api/*/*.[ch] ws-notifier/*.[ch] tests/unit/*.[ch] bench/*.[ch] \
                      bench/peers/*/*.c fuzz/*.[ch] man/*.[ch])

COMMON_LIBS   := $(shell pkg-config --libs libcjson librabbitmq libjwt libssl libcrypto libseccomp) -lm -lpthread
API_LIBS      := $(shell pkg-config --libs fcgi libmariadb libcrypto)
NOTIFIER_LIBS := $(shell pkg-config --libs libwebsockets libuv)

# Manual pages: man/NAME.SECTION.in with the version and, in carillon.env(5), the table of settings filled in.
MANUAL := $(patsubst man/%.in,$(BUILD)/man/%,$(wildcard man/*.in))

.PHONY: all man pictures reference reference-check check asan tsan hardening lint fuzz fuzz-long fuzz-coverage fuzz-programs format format-check run test bench
.PHONY: bench-programs install client-package clean help
.DELETE_ON_ERROR:
.SECONDARY:

all: $(BUILD)/fcgi-api $(BUILD)/ws-notifier ## build both programs

$(BUILD)/fcgi-api: $(BUILD)/obj/fcgi-api/main.o $(BUILD)/libapi.a $(BUILD)/libcommon.a
	$(CC) $(CFLAGS) $(PROGRAM_LDFLAGS) $(LDFLAGS) -o $@ $^ $(API_LIBS) $(COMMON_LIBS)

$(BUILD)/ws-notifier: $(BUILD)/obj/ws-notifier/main.o $(BUILD)/libnotifier.a $(BUILD)/libcommon.a
	$(CC) $(CFLAGS) $(PROGRAM_LDFLAGS) $(LDFLAGS) -o $@ $^ $(NOTIFIER_LIBS) $(COMMON_LIBS)

$(BUILD)/libcommon.a: $(COMMON_OBJECTS)
$(BUILD)/libapi.a: $(API_OBJECTS)
$(BUILD)/libnotifier.a: $(NOTIFIER_OBJECTS)
# Not `r`: rooms have files of the same name.
$(ARCHIVES):
	@rm -f $@
	$(AR) qcs $@ $^

$(BUILD)/obj/%.o: %.c VERSION
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/tests/%: $(BUILD)/obj/tests/unit/%.o $(ARCHIVES)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< $(ARCHIVES) -lcmocka $(API_LIBS) $(NOTIFIER_LIBS) $(COMMON_LIBS)

man: $(MANUAL) ## the manual pages, into $(BUILD)/man
$(BUILD)/man/%: man/%.in VERSION
	@mkdir -p $(@D)
	sed 's/@VERSION@/$(VERSION)/' $< >$@
$(BUILD)/man/carillon.env.5: man/carillon.env.5.in VERSION $(BUILD)/man-settings
	@mkdir -p $(@D)
	sed 's/@VERSION@/$(VERSION)/' $< | $(BUILD)/man-settings >$@
$(BUILD)/man-settings: $(BUILD)/obj/man/settings.o
$(BUILD)/man-reference: $(BUILD)/obj/man/reference.o
$(BUILD)/man-settings $(BUILD)/man-reference:
	$(CC) $(CFLAGS) $(PROGRAM_LDFLAGS) $(LDFLAGS) -o $@ $^

# Pages with tables that the code has: each is its own template (man/reference.c).
REFERENCE := docs/settings.md docs/metrics.md
reference: $(BUILD)/man-reference ## put the code's tables of settings and metrics into docs/
	for page in $(REFERENCE); do $< <$$page >$(BUILD)/page.md && cat $(BUILD)/page.md >$$page || exit 1; done
reference-check: $(BUILD)/man-reference ## fail when `make reference` would change something
	for page in $(REFERENCE); do $< <$$page | diff -u $$page - || exit 1; done

pictures: ## draw docs/pictures/*.seq
	docs/pictures/draw $(wildcard docs/pictures/*.seq)

# The notifier's rules without its network and with a clock that stands still, for tests/property.
MODEL_SOURCES := tests/property/shim.c $(filter-out common/clock.c,$(wildcard common/*.c)) \
                 $(patsubst %,ws-notifier/%.c,accounts admission client close delivery feed frame held horizon hub memory notifier_metrics protocol quota rate \
                 reach reception ring)
$(BUILD)/tests/libmodel.so: $(MODEL_SOURCES) $(wildcard common/*.[ch] ws-notifier/*.h)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -fPIC -shared -Wl,-Bsymbolic -o $@ $(MODEL_SOURCES) $(COMMON_LIBS)

# The load programs of scripts/bench and scripts/scale, and the floors that the first compares with.
BENCH_PROGRAMS := $(BUILD)/bench/wsload $(BUILD)/bench/pump $(BUILD)/bench/floor-read $(BUILD)/bench/floor-write \
                  $(BUILD)/bench/floor-send $(BUILD)/bench/crowd
WSLOAD_OBJECTS := $(patsubst %,$(BUILD)/obj/bench/%.o,wsload options loop wsock dialect trigger tally samples)
bench-programs: $(BENCH_PROGRAMS)
$(BUILD)/bench/wsload: $(WSLOAD_OBJECTS)
$(BUILD)/bench/crowd: $(patsubst %,$(BUILD)/obj/bench/%.o,crowd member loop wsock dialect trigger samples)
$(BUILD)/bench/pump: $(BUILD)/obj/bench/pump.o
$(BUILD)/bench/floor-read: $(BUILD)/obj/bench/peers/floor-read/floor_read.o
$(BUILD)/bench/floor-write: $(BUILD)/obj/bench/peers/floor-write/floor_write.o
$(BUILD)/bench/floor-send: $(BUILD)/obj/bench/peers/floor-send/floor_send.o
$(BENCH_PROGRAMS):
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(API_LIBS) $(COMMON_LIBS)

# The fuzz targets (fuzz/): built by scripts/fuzz, with its own flags and folder.
FUZZ_TARGETS  := $(patsubst %,$(BUILD)/fuzz-%,request task query cursor token message frames delivery settings)
FUZZ_HELPERS  := $(patsubst %,$(BUILD)/obj/fuzz/%.o,fuzz answer)
fuzz-programs: $(FUZZ_TARGETS)
$(BUILD)/fuzz-%: $(BUILD)/obj/fuzz/%.o $(FUZZ_HELPERS) $(ARCHIVES)
	$(CC) $(CFLAGS) -fsanitize=fuzzer $(LDFLAGS) -o $@ $^ $(API_LIBS) $(NOTIFIER_LIBS) $(COMMON_LIBS)

check: $(UNIT_TESTS) ## build and run the unit tests
	@set -e; for test in $(UNIT_TESTS); do $$test; done

asan: ## the unit tests with AddressSanitizer and UndefinedBehaviorSanitizer
	$(MAKE) SANITIZE=1 all check

tsan: ## the unit tests with ThreadSanitizer
	$(MAKE) SANITIZE=thread all check

hardening: all ## what both programs were built with: PIE, RELRO, checks of the stack and of buffers...
	scripts/hardening $(BUILD)/fcgi-api $(BUILD)/ws-notifier

# States of a function that clang's analyzer looks at. Its default is 225000, which takes five times as long.
ANALYZE ?= 40000
lint: ## clang-tidy and cppcheck (ANALYZE=225000: more thoroughly, five times as long)
	cppcheck --quiet -j "$$(nproc)" --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
	    --suppress=missingIncludeSystem --suppress=legacyUninitvar --suppress=normalCheckLevelMaxBranches \
	    --include=/usr/include/utlist.h '-D__has_include(file)=0' -D_GNU_SOURCE -DCARILLON_RELEASE=$(VERSION) -I. common fcgi-api ws-notifier
	printf '%s\n' $(filter-out tests/% fuzz/%,$(filter %.c,$(SOURCES))) | xargs -P "$$(nproc)" -n 4 sh -c \
	    "exec clang-tidy --quiet --warnings-as-errors='*' \"\$$@\" -- $(CPPFLAGS) -std=c17 \
	    -Xclang -analyzer-config -Xclang max-nodes=$(ANALYZE)" clang-tidy

fuzz: ## each fuzz target for a minute (FUZZ_SECONDS), with AddressSanitizer and UndefinedBehaviorSanitizer
	scripts/fuzz --seconds $(or $(FUZZ_SECONDS),60)

fuzz-long: ## each fuzz target for an hour
	scripts/fuzz --seconds 3600

fuzz-coverage: ## which lines of the parsers the corpora reach
	scripts/fuzz --coverage

format: ## lay out the C sources
	clang-format -i $(SOURCES)

format-check: ## fail when `make format` would change something
	clang-format --dry-run -Werror $(SOURCES)

run: ## start the whole stack in the foreground
	scripts/run

test: ## everything: unit, system, browser, Bruno and container tests
	scripts/test

bench: ## compare with what people would use instead
	scripts/bench

# The sources name what is installed by /usr/local.
SHARE         = $(DESTDIR)$(PREFIX)/share/carillon
UNITS         = $(DESTDIR)$(UNITDIR)
UNITDIR      ?= $(PREFIX)/lib/systemd/system
INSTALLED    := accounts backup fetch-keys migrate nginx-config restore setup
INSTALLED_LIB := accounts backup clients common grants nginx secrets sql_session supervisor
install: all man ## programs into $(PREFIX)/bin, manual pages, sql, nginx and scripts into $(PREFIX)/share/carillon, units for systemd
	install -D -m 0755 -t $(DESTDIR)$(PREFIX)/bin $(BUILD)/fcgi-api $(BUILD)/ws-notifier
	for page in $(MANUAL); do install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/man/man$${page##*.} $$page || exit 1; done
	install -D -m 0644 -t $(SHARE)/sql sql/*.sql
	install -D -m 0644 -t $(SHARE)/sql/demo sql/demo/*.sql
	find nginx client ops -type f ! -name Dockerfile -exec install -D -m 0644 {} $(SHARE)/{} \;
	chmod 0755 $(SHARE)/nginx/deploy-certificate $(SHARE)/nginx/listen-tls
	install -D -m 0755 -t $(SHARE)/scripts $(INSTALLED:%=scripts/%)
	install -D -m 0644 -t $(SHARE)/scripts/lib $(INSTALLED_LIB:%=scripts/lib/%.sh)
	install -D -m 0755 -t $(SHARE)/scripts/lib scripts/lib/undo
	install -D -m 0755 -t $(SHARE)/scripts/parts/watch scripts/parts/watch/start
	install -d -m 0755 $(DESTDIR)$(PREFIX)/sbin
	ln -sf ../share/carillon/scripts/setup $(DESTDIR)$(PREFIX)/sbin/carillon-setup
	install -D -m 0644 -t $(UNITS) systemd/*.service systemd/*.socket systemd/*.timer
	install -D -m 0644 -t $(UNITS)/carillon-.service.d systemd/carillon-.service.d/*.conf
	[ $(PREFIX) = /usr/local ] || sed -i 's|/usr/local/|$(PREFIX)/|g' $(UNITS)/carillon-*.service $(SHARE)/scripts/nginx-config $(SHARE)/nginx/deploy-certificate

client-package: ## the package carillon-client (client/) as a tarball in $(BUILD)
	@mkdir -p $(BUILD)
	cd client && npm pack --silent --pack-destination $(abspath $(BUILD))

clean: ## remove what was built
	rm -rf build

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
