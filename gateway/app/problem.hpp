// One thing that is wrong with a configuration.
#pragma once

#include <compare>
#include <string>

namespace sallyport::app {

struct Problem {
  std::string file;
  int line = 0;         // from 1; 0 when the file as a whole is at fault
  int column = 0;       // from 1, in bytes
  std::string message;  // what is wrong, what is expected
  // "FILE:LINE:COLUMN: message"
  [[nodiscard]] std::string text() const;
  friend auto operator<=>(const Problem&, const Problem&) = default;
};

}  // namespace sallyport::app
