// Gives the memory of a container back.
//
// Assigning an empty string does not: it has no buffer of its own to give, so the old one stays.
#pragma once

namespace tidemark {

template <typename Container>
void Release(Container& container) {
  Container().swap(container);
}

}  // namespace tidemark
