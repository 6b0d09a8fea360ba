// A SMART-like authorization server on loopback: oidc-provider with JWT access tokens (RFC 9068).
//
// PORT, AUDIENCE (the FHIR base) and ALG come from the environment. Five clients:
//   growth-chart  a patient's app: authorization code with PKCE, scopes patient/…
//   ward-round    a clinician's app: the same, scopes user/…
//   lab-feed      a backend service: private_key_jwt, scopes system/…; its public key is CLIENT_JWK
//   opaque-chart  a patient's app like growth-chart, whose tokens are opaque
//   gateway       asks about those: introspection by client_secret_basic, its secret is GATEWAY_SECRET
// Paths that no real server has:
//   POST /lab/rotate?alg=ES384   signs with a new key from now on; with `drop` the others leave the key
//                                set; with `ahead` the new one only joins it, and nothing is signed with it
//   POST /lab/use                signs with the key that joined last
//   POST /lab/retire             all keys but the one that it signs with leave the key set
import http from 'node:http';
import * as jose from 'jose';
import Provider, { errors } from 'oidc-provider';

const issuer = `http://127.0.0.1:${process.env.PORT}`;
const audience = process.env.AUDIENCE;
const redirect = 'http://127.0.0.1/callback';

// The people who may log in, and what their tokens say of them.
const people = {
  ann: { patient: 'ann', fhirUser: 'Patient/ann' },
  ben: { patient: 'ben', fhirUser: 'Patient/ben' },
  'dr-grey': { fhirUser: 'Practitioner/dr-grey', organization: 'clinic', roles: ['physician'] },
};

const types = ['Patient', 'Observation', 'Condition', 'MedicationRequest', 'Encounter', '*'];
const scopes = ['launch/patient', ...['patient', 'user', 'system'].flatMap((context) =>
  types.flatMap((type) => ['r', 's', 'rs', 'cud', 'cruds'].map((may) => `${context}/${type}.${may}`)))];

const publicApp = {
  token_endpoint_auth_method: 'none',
  grant_types: ['authorization_code'],
  response_types: ['code'],
  redirect_uris: [redirect],
  application_type: 'native',
  scope: ['openid', ...scopes].join(' '),
};
const clients = [
  { client_id: 'growth-chart', ...publicApp },
  { client_id: 'ward-round', ...publicApp },
  { client_id: 'opaque-chart', ...publicApp },
  {
    client_id: 'gateway',
    client_secret: process.env.GATEWAY_SECRET,
    grant_types: ['client_credentials'],
    response_types: [],
    redirect_uris: [],
    token_endpoint_auth_method: 'client_secret_basic',
  },
  {
    client_id: 'lab-feed',
    grant_types: ['client_credentials'],
    response_types: [],
    redirect_uris: [],
    token_endpoint_auth_method: 'private_key_jwt',
    token_endpoint_auth_signing_alg: 'ES384',
    jwks: { keys: [JSON.parse(process.env.CLIENT_JWK)] },
    scope: scopes.join(' '),
  },
];

// `exp - iat`; a client may ask for less, to show what happens to an expired token.
const lifetime = (ctx) => Number(ctx.oidc.body?.lifetime ?? 300);

function build(keys) {
  const provider = new Provider(issuer, {
    clients,
    jwks: { keys },
    scopes: ['openid', ...scopes],
    clientDefaults: { id_token_signed_response_alg: keys[0].alg },
    clientAuthMethods: ['private_key_jwt', 'client_secret_basic', 'none'],
    enabledJWA: {
      idTokenSigningAlgValues: ['RS256', 'RS384', 'ES256', 'ES384', 'PS256'],
      clientAuthSigningAlgValues: ['ES384'],
    },
    features: {
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: (ctx, client) => client.clientId === 'gateway' },
      revocation: { enabled: true },
      devInteractions: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => audience,
        useGrantedResource: () => true,
        getResourceServerInfo: (ctx, resource, client) => {
          if (!resource.startsWith('http')) throw new errors.InvalidTarget();
          return {
            scope: scopes.join(' '),
            audience: resource,
            accessTokenTTL: lifetime(ctx),
            accessTokenFormat: client.clientId.startsWith('opaque') ? 'opaque' : 'jwt',
            jwt: { sign: { alg: keys[0].alg } },
          };
        },
      },
    },
    extraParams: ['aud'],
    extraTokenClaims: (ctx, token) => token.accountId && {
      ...people[token.accountId], sid: token.sessionUid ?? token.grantId,
    },
    ttl: { AccessToken: lifetime, ClientCredentials: lifetime, Grant: 3600, Session: 3600 },
    findAccount: (ctx, id) => people[id] && { accountId: id, claims: () => ({ sub: id }) },
  });
  // SMART apps read the patient from the token response.
  provider.use(async (ctx, next) => {
    await next();
    const person = people[ctx.oidc?.entities?.Account?.accountId];
    if (ctx.oidc?.route === 'token' && ctx.status === 200 && person?.patient) {
      ctx.body.patient = person.patient;
    }
  });
  provider.on('server_error', (ctx, error) => console.error(error));
  return provider.callback();
}

let made = 0;
async function newKey(alg) {
  const { privateKey } = await jose.generateKeyPair(alg, { extractable: true });
  made += 1;
  return { ...(await jose.exportJWK(privateKey)), alg, use: 'sig', kid: `key-${made}` };
}

let keys = [await newKey(process.env.ALG)];
let answer = build(keys);

async function rotate(url) {
  const fresh = await newKey(url.searchParams.get('alg') ?? keys[0].alg);
  if (url.searchParams.has('drop')) return [fresh];
  return url.searchParams.has('ahead') ? [...keys, fresh] : [fresh, ...keys];
}

// The first key signs.
const changes = {
  '/lab/rotate': rotate,
  '/lab/use': () => [keys.at(-1), ...keys.slice(0, -1)],
  '/lab/retire': () => keys.slice(0, 1),
};

http.createServer(async (request, response) => {
  const url = new URL(request.url, issuer);
  if (request.method === 'POST' && changes[url.pathname]) {
    keys = await changes[url.pathname](url);
    answer = build(keys);
    response.end(JSON.stringify({ kids: keys.map((key) => key.kid) }));
  } else {
    answer(request, response);
  }
}).listen(Number(process.env.PORT), '127.0.0.1');
