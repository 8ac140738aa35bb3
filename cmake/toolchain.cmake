# Speed of the build: ccache and mold where the machine has them.
find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # A precompiled header has no stable time stamps; these three let ccache look past them.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      "CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime" ${CCACHE})
endif()

find_program(MOLD mold)
add_library(sallyport_build INTERFACE)
if(MOLD)
  target_link_options(sallyport_build INTERFACE -fuse-ld=mold)
endif()

target_compile_options(sallyport_build INTERFACE
  -Wall -Wextra -Wconversion -Werror -Werror=switch -Wnon-virtual-dtor -Woverloaded-virtual -fno-omit-frame-pointer)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # ccache can only see through a precompiled header when GCC keeps its inputs.
  target_compile_options(sallyport_build INTERFACE -fpch-preprocess)
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
  BOOST_ASIO_DISABLE_VISIBILITY)
