# Precompiled headers: most of a file's compile time went into the same standard, Abseil, protobuf and
# GoogleTest headers. Turn it off to see whether every file includes what it uses.

option(TIDEMARK_PRECOMPILED_HEADERS "Parse the common headers once" ON)

set(tidemark_common_headers
    <algorithm> <atomic> <cstdint> <cstring> <deque> <functional> <map> <memory> <optional> <ostream> <string>
    <utility> <variant> <vector>
    <absl/container/btree_map.h> <absl/container/btree_set.h> <absl/container/flat_hash_map.h>
    <absl/container/flat_hash_set.h> <absl/container/inlined_vector.h> <absl/functional/any_invocable.h>
    <absl/functional/function_ref.h> <absl/status/status.h> <absl/status/statusor.h> <absl/strings/str_cat.h>
    <absl/strings/string_view.h> <absl/time/time.h> <absl/types/span.h>)

# precompiled_headers(NAME LIBRARIES... HEADERS...): a target that others take their headers from.
function(precompiled_headers name)
  cmake_parse_arguments(ARG "" "" "DEPS;HEADERS" ${ARGN})
  file(WRITE ${CMAKE_BINARY_DIR}/precompiled/${name}.cc "")
  add_library(${name} STATIC ${CMAKE_BINARY_DIR}/precompiled/${name}.cc)
  target_link_libraries(${name} PRIVATE ${ARG_DEPS})
  target_precompile_headers(${name} PRIVATE ${ARG_HEADERS})
endfunction()

if(TIDEMARK_PRECOMPILED_HEADERS)
  precompiled_headers(precompiled_api DEPS etcd_api absl::btree
                      HEADERS ${tidemark_common_headers} <proto/rpc.pb.h>)
  precompiled_headers(precompiled_common DEPS absl::btree HEADERS ${tidemark_common_headers})
  precompiled_headers(precompiled_test DEPS absl::btree GTest::gtest GTest::gmock
                      HEADERS ${tidemark_common_headers} <gtest/gtest.h> <gmock/gmock.h>)
  add_dependencies(precompiled_api etcd_api)
endif()

# Of what the messages of etcd's API need too if `name` links to them.
function(use_precompiled_headers name from)
  if(TIDEMARK_PRECOMPILED_HEADERS)
    get_target_property(libraries ${name} LINK_LIBRARIES)
    if(from STREQUAL precompiled_common AND etcd_api IN_LIST libraries)
      set(from precompiled_api)
    endif()
    target_precompile_headers(${name} REUSE_FROM ${from})
  endif()
endfunction()
