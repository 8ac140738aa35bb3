// The files that a configuration names: found, readable, fit, and closed to strangers where they hold a secret.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "app/problems.hpp"
#include "app/yaml_reader.hpp"
#include "base/result.hpp"
#include "transport/tls_context.hpp"

namespace sallyport::app {

// A path of `source`, made relative to where the process stands (or absolute when it was).
[[nodiscard]] std::string resolve(const Source& source, std::string_view path);

inline constexpr std::size_t kKeyFileBytesMax = 1024 * 1024;  // of a file with keys

// Reads a regular file. Fault::not_found, unavailable (unreadable, a directory, a device), too_large. The detail says why, without the
// path.
[[nodiscard]] Result<std::string> read_regular_file(const std::string& path, std::size_t bytes_max);

enum class FileSecrecy : unsigned char { public_, secret };
// The path that `node` names, when it is a regular file that this process can read. A secret one must be closed: nothing for others, no
// writing for its group; otherwise a problem says `chmod 600`.
[[nodiscard]] std::optional<std::string> read_file_path(Problems& problems, const Node& node, FileSecrecy secrecy);
// What a problem says of the file that `node` names and that could not be read, or not made use of.
[[nodiscard]] std::string not_usable(const Node& node, const Error& error);
// The same check of the mode alone.
void check_is_closed(Problems& problems, const Node& node, const std::string& path);

// Whether the two belong together, and whether the certificate is valid now: expired is an error, less than 30 days left a warning.
void check_certificate(Problems& problems, const Node& certificate, const Node& key, const transport::CertificateFiles& files);

// Where new files may come to fit `pattern`: the folder before its first wildcard, with the component that has it; the path itself without
// one.
[[nodiscard]] ReadPath folder_of_pattern(const std::string& pattern);

// The files that `pattern` names (`*`, `?` and `[…]` within path components, names that begin with '.' aside), sorted.
// Fault::not_found: none; too_large: more than 10,000 directory entries were looked at.
[[nodiscard]] Result<std::vector<std::string>> expand_pattern(const Source& source, const std::string& pattern);

}  // namespace sallyport::app
