# Speed of the build: ccache and mold where the machine has them.
find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # A precompiled header has no stable time stamps; these three let ccache look past them.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      "CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime" ${CCACHE})
endif()

# Files of a folder that are compiled together share what their headers cost: a clean build in half of the time. What somebody changes over
# and over is sooner built alone: the dev preset.
option(SALLYPORT_UNITY "Compile several files of a folder together" ON)
function(sallyport_unity target files)  # 0: all of them
  if(SALLYPORT_UNITY)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE ${files})
    # GCC takes the anonymous namespace of an included file for a header's.
    target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
  endif()
endfunction()

find_program(MOLD mold)
add_library(sallyport_build INTERFACE)
if(MOLD)
  target_link_options(sallyport_build INTERFACE -fuse-ld=mold)
endif()

target_compile_options(sallyport_build INTERFACE
  -Wall -Wextra -Wconversion -Werror -Werror=switch -Wnon-virtual-dtor -Woverloaded-virtual
  # Where stacks are read. A release does without: a hundredth of a request's time (perf reads its stacks with --call-graph dwarf).
  $<$<NOT:$<CONFIG:Release>>:-fno-omit-frame-pointer>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # ccache can only see through a precompiled header when GCC keeps its inputs.
  target_compile_options(sallyport_build INTERFACE -fpch-preprocess)
  # Collects its garbage first when it holds a gigabyte, not over and over: a tenth of the time of a large file.
  target_compile_options(sallyport_build INTERFACE "SHELL:--param ggc-min-heapsize=1048576")
  if(CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # GCC 12 sees overruns inside std::string's own constructors when it optimises (its bugs 105329 and 105651). Clang's warnings and the
    # address sanitizer look at the same code. It also takes the frame of a coroutine, which Asio allocates and frees in a matching pair, for
    # mismatched once it inlines half of that.
    target_compile_options(sallyport_build INTERFACE -Wno-array-bounds -Wno-restrict -Wno-stringop-overflow -Wno-stringop-overread
                                                     -Wno-mismatched-new-delete)
  endif()
endif()

set(SALLYPORT_SANITIZE "" CACHE STRING "Sanitizers, as for -fsanitize=")
if(SALLYPORT_SANITIZE)
  target_compile_options(sallyport_build INTERFACE -fsanitize=${SALLYPORT_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(sallyport_build INTERFACE -fsanitize=${SALLYPORT_SANITIZE})
endif()
if(SALLYPORT_FUZZ)
  target_compile_options(sallyport_build INTERFACE -fsanitize=fuzzer-no-link)
endif()
option(SALLYPORT_COVERAGE "Count the lines that the tests run" OFF)
if(SALLYPORT_COVERAGE)
  target_compile_options(sallyport_build INTERFACE --coverage)
  target_link_options(sallyport_build INTERFACE --coverage)
endif()

target_compile_definitions(sallyport_build INTERFACE
  BOOST_ASIO_NO_DEPRECATED
  BOOST_ASIO_SEPARATE_COMPILATION      # Asio's own code is compiled once, in gateway/base/asio.cpp
  BOOST_ASIO_DISABLE_STD_ALIGNED_ALLOC # coroutine frames come from operator new, the allocator's shortest way;
  BOOST_ASIO_DISABLE_BOOST_ALIGN       # none of ours needs more than its alignment, and
  BOOST_ASIO_RECYCLING_ALLOCATOR_CACHE_SIZE=0 # none is kept by Asio for the next, which may be smaller and live as long as its connection
  BOOST_ASIO_DISABLE_VISIBILITY)
