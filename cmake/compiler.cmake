# Warnings, sanitizers and the compiler cache: one place, so that every target is built alike.

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

add_compile_options(-Wall -Wextra -Werror -Wno-unused-parameter
                    -Wno-missing-field-initializers  # designated initialisers leave out what has a default
                    -fno-omit-frame-pointer)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # -Wthread-safety proves the ABSL_GUARDED_BY annotations; see docs/testing.md.
  add_compile_options(-Wthread-safety)
else()
  add_compile_options(-fpch-preprocess)  # so that ccache sees through precompiled headers
  # g++ 12 reports false positives for these inside inlined library code.
  add_compile_options(-Wno-maybe-uninitialized -Wno-restrict -Wno-stringop-overflow -Wno-array-bounds)
endif()

# Debug information makes objects large and links slow; line tables are enough for stacks and perf.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1 -DNDEBUG")  # CHECKs stay; NDEBUG is for libraries' headers
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")

if(TIDEMARK_SANITIZE)
  set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O1 -g1")  # compiles in half the time, runs fast enough
endif()
if(TIDEMARK_SANITIZE STREQUAL "address")
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all)
  add_link_options(-fsanitize=address,undefined)
elseif(TIDEMARK_SANITIZE STREQUAL "thread")
  add_compile_options(-fsanitize=thread)
  add_link_options(-fsanitize=thread)
elseif(TIDEMARK_SANITIZE STREQUAL "fuzzer")
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all)
  add_link_options(-fsanitize=address,undefined)
endif()

if(TIDEMARK_PLANTED_BUGS)
  add_compile_definitions(TIDEMARK_PLANTED_BUGS)
endif()
