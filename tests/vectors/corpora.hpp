// Where the outside test data lies. It is not part of this repository; tests skip in one line what is not there.
#pragma once

#include <cstdlib>
#include <filesystem>

namespace sallyport {

// $SALLYPORT_CORPORA, else ../shared/corpora beside the source tree.
inline std::filesystem::path corpora() {
  const char* set = std::getenv("SALLYPORT_CORPORA");
  return set != nullptr ? std::filesystem::path(set) : std::filesystem::path(SALLYPORT_SOURCE_DIR) / ".." / "shared" / "corpora";
}

}  // namespace sallyport
