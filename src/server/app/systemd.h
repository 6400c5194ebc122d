// Tells systemd about the service's state, where it wants to know (sd_notify's protocol).
#pragma once

#include "absl/strings/string_view.h"

namespace tidemark::server {

// A datagram to $NOTIFY_SOCKET; nothing when that is not set.
void NotifySystemd(absl::string_view state);

}  // namespace tidemark::server
