/** Node's codes of what can be wrong with a TLS connection: OpenSSL's verification errors and node:tls's own. */
const UNTRUSTED: ReadonlySet<string> = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
  'INVALID_CA',
])

/** What is wrong with a TLS connection and what would be right; undefined when it is something else. */
export function tlsTrouble(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error)) return undefined
  const code = 'code' in thrown ? String(thrown.code) : ''
  const { message } = thrown
  if (UNTRUSTED.has(code)) {
    return `its certificate is of an authority that is not trusted here (${message}); give the PEM file of the right one`
  }
  if (code === 'CERT_HAS_EXPIRED') return `its certificate, or its authority's, has expired (${message}); renew that`
  if (code === 'CERT_NOT_YET_VALID') {
    return `its certificate is not valid yet (${message}); compare the clocks of both machines`
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return `its certificate is for another host (${message}); use a name of the certificate in the URL, or renew it`
  }
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'ERR_SSL_PACKET_LENGTH_TOO_LONG') {
    return 'what answers there does not speak TLS; the URL may have to begin with http://'
  }
  if (/^ERR_SSL_.*(HANDSHAKE_FAILURE|CERTIFICATE_REQUIRED|BAD_CERTIFICATE)$/.test(code)) {
    return `it ends the TLS handshake (${code}); client certificates are not supported`
  }
  return undefined
}
