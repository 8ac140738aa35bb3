// Result<T>: a value or a technical failure. A bad credential is not an Error (see identity/auth_outcome.hpp).
#pragma once

#include <string>
#include <utility>

#include <boost/system/result.hpp>

namespace sallyport {

enum class Fault {
  malformed,      // the input does not have the form its specification demands
  too_large,      // the input is over a stated limit
  unsupported,    // well formed, but nothing we do
  mismatch,       // two things that must fit each other do not
  not_found,
  unavailable,    // could not be asked: a file, a peer or a store did not answer
  timed_out,
  closed,         // the other side ended the connection in order
  broken,         // the connection was lost or its framing is lost
  internal,
};

[[nodiscard]] std::string_view name(Fault fault) noexcept;

// `detail` is for our log and for the operator; it never reaches a client.
struct Error {
  Fault fault;
  std::string detail;

  friend bool operator==(const Error&, const Error&) = default;
};

template <class T>
using Result = boost::system::result<T, Error>;

[[nodiscard]] inline Error make_error(Fault fault, std::string detail) { return Error{fault, std::move(detail)}; }

// Called by Result<T>::value() on an error: asking for a value that is not there is a programmer's error.
[[noreturn]] void throw_exception_from_error(const Error& error, const boost::source_location& where);

}  // namespace sallyport
