// SPDX-License-Identifier: MIT
// Why the service does not let this page in: from the code and the reason of a WebSocket's close (docs/protocol.md), or
// the status and the detail of an HTTP answer, to the sentence that helps. Its names are those in i18n.js under `why`.

const LIMITS = [
  [/^too many (connections|subscriptions) of this user/, 'limit-user'],
  [/^too many connections from this address/, 'limit-address'],
  [/^too many new connections/, 'limit-new'],
  [/^too many (messages|bytes)/, 'limit-messages'],
  [/^too many clients/, 'limit-clients'],
];

/** The API names the setting that would let this page in. Without a token it cannot be about the user. */
const ADDRESS = /origin|server_name/;

/** `code` is 4401, 4403, 4429 or anything else, then it is null. Servers that tell causes less exactly are understood. */
export function refusal({ code, reason, hasToken }) {
  const text = (reason ?? '').toLowerCase();
  if (code === 4429) return LIMITS.find(([pattern]) => pattern.test(text))?.[1] ?? 'too-many-requests';
  if (code === 4403) return !hasToken || ADDRESS.test(text) ? 'origin' : 'forbidden';
  if (code !== 4401) return null;
  if (!hasToken) return 'token-missing';
  return text.includes('expired') ? 'token-expired' : 'token-refused';
}
