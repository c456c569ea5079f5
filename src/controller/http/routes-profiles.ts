import { Type } from 'typebox'
import { Name, PoolName, Rate } from '../../model/fields.ts'
import type { Profile } from '../../model/profile.ts'
import { Access, VolumeFs } from '../../model/volume.ts'
import { OPERATE, READ_ALL } from './caller.ts'
import { ref } from './components.ts'
import { find } from './find.ts'
import { PAGE_QUERY, page, pageSchema, shownPage } from './lists.ts'
import { bodySchema, withTimes } from './rest-schema.ts'
import { ok, type Route, route } from './route.ts'

const params = Type.Object({ profile: Name })

const ProfileBody = bodySchema(
  Type.Object({
    fs: Type.Optional(VolumeFs),
    access: Type.Optional(Access),
    iops: Type.Optional(Rate),
    iopsPerGiB: Type.Optional(Rate),
    pools: Type.Optional(Type.Array(PoolName, { maxItems: 256 })),
  }),
)

export const PROFILE_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/profiles',
    access: READ_ALL,
    tag: 'profiles',
    summary: 'List profiles, by name',
    query: Type.Object(PAGE_QUERY),
    replies: { 200: pageSchema(ref('Profile')) },
    handle: (call) => call.read((state) => ok(shownPage(page(state.all('profile').values(), call.query), withTimes))),
  }),
  route({
    method: 'GET',
    path: '/v1/profiles/:profile',
    access: READ_ALL,
    tag: 'profiles',
    summary: 'Show a profile',
    params,
    replies: { 200: ref('Profile') },
    handle: (call) => call.read((state) => ok(withTimes(find(state, 'profile', call.params.profile)))),
  }),
  route({
    method: 'PUT',
    path: '/v1/profiles/:profile',
    access: OPERATE,
    tag: 'profiles',
    summary: 'Set a profile, the whole of it',
    description:
      'What is absent is ext4, single-writer, no IOPS, in every pool. Volumes keep what they were made with.',
    params,
    body: ProfileBody,
    replies: { 200: ref('Profile') },
    async handle(call) {
      const { fs = 'ext4', access = 'single-writer', iops = 0, iopsPerGiB = 0, pools } = call.body
      const { answer } = await call.submit({
        kind: 'profile.set',
        name: call.params.profile,
        set: { fs, access, iops, iopsPerGiB, ...(pools === undefined ? {} : { pools }) },
      })
      return ok(withTimes(answer as Profile))
    },
  }),
  route({
    method: 'DELETE',
    path: '/v1/profiles/:profile',
    access: OPERATE,
    tag: 'profiles',
    summary: 'Remove a profile; what was made with it stays',
    params,
    replies: { 200: ref('Profile') },
    async handle(call) {
      const { answer } = await call.submit({ kind: 'profile.delete', name: call.params.profile })
      return ok(withTimes(answer as Profile))
    },
  }),
]
