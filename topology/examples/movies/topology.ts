import { fileURLToPath } from 'node:url'
import {
  array,
  byKey,
  computed,
  count,
  csvRows,
  days,
  each,
  event,
  featureView,
  forever,
  globalMean,
  hashedLogistic,
  latest,
  mean,
  minutes,
  model,
  nullable,
  request,
  type SourceRow,
  sum,
  topology,
} from '../../index.ts'

/*
 * Will this user like this movie? Real ratings, MovieLens small. Each row is
 * two events: an impression, which asks for the prediction and knows no
 * stars, and the rating, which is the label.
 */

const shown = {
  impressionId: 'string',
  userId: 'int',
  movieId: 'int',
  genres: array('string'),
  /** First year of the decade in the movie's title. */
  decade: nullable('int'),
} as const

export const impression = event('impression', { ...shown, at: 'timestamp' }, { key: 'userId', time: 'at' })

export const rating = event(
  'rating',
  { ...shown, stars: 'double', at: 'timestamp' },
  { key: 'userId', time: 'at' },
)

const liked = ({ stars }: { readonly stars: number }) => (stars >= 4 ? 1 : 0)

const userTaste = featureView('user-taste', {
  entity: 'userId',
  owner: 'recommendations',
  description: 'How a user rates, ever and just now',
  features: {
    userRatings: count(rating, { over: forever }),
    userLikes: sum(rating, liked, { over: forever, default: 0 }),
    userStars: sum(rating, 'stars', { over: forever, default: 0 }),
    userFours: count(rating, { over: forever, where: ({ stars }) => stars === 4 }),
    streakRatings: count(rating, { over: minutes(5) }),
    streakLikes: sum(rating, liked, { over: minutes(5), default: 0 }),
    userLast: latest(rating, 'stars'),
  },
})

const movieTaste = featureView('movie-taste', {
  entity: 'movieId',
  owner: 'recommendations',
  description: 'How a movie is rated',
  features: {
    movieRatings: count(rating, { over: forever }),
    movieLikes: sum(rating, liked, { over: forever, default: 0 }),
    movieStars: sum(rating, 'stars', { over: forever, default: 0 }),
  },
})

const genreTaste = featureView('genre-taste', {
  entity: ['userId', each('genres')],
  owner: 'recommendations',
  description: "How a user rates each genre; a movie's genres are averaged",
  features: {
    genreRatings: count(rating, { over: forever }),
    genreLikes: sum(rating, liked, { over: forever, default: 0 }),
  },
})

const decadeTaste = featureView('decade-taste', {
  entity: ['userId', 'decade'],
  owner: 'recommendations',
  description: 'How a user rates movies of one decade',
  features: {
    decadeRatings: count(rating, { over: forever }),
    decadeStars: mean(rating, 'stars', { over: forever }),
  },
})

const logit = (p: number) => Math.log(p / (1 - p))
/** A rate drawn to its prior by `weight` imagined events. */
const rate = (hits: number, events: number, prior: number, weight: number) =>
  (hits + weight * prior) / (events + weight)

const userRate = (likes: number, ratings: number) => rate(likes, ratings, 0.5, 5)
const userMean = (stars: number, ratings: number) => rate(stars, ratings, 3.5, 5)

const taste = computed({
  userLogit: { of: ['userLikes', 'userRatings'], value: (l, n) => logit(userRate(l, n)) },
  movieLogit: { of: ['movieLikes', 'movieRatings'], value: (l, n) => logit(rate(l, n, 0.5, 3)) },
  movieMean: { of: ['movieStars', 'movieRatings'], value: (s, n) => rate(s, n, 3.5, 3) },
  genreLogit: {
    of: ['genreLikes', 'genreRatings', 'userLikes', 'userRatings'],
    value: (l, n, ul, un) => logit(rate(l || 0, n || 0, userRate(ul, un), 3)),
  },
  decadeMean: {
    of: ['decadeStars', 'decadeRatings', 'userStars', 'userRatings'],
    value: (mean, n, us, un) => rate((mean || 0) * n, n, userMean(us, un), 3),
  },
  streak: {
    of: ['streakLikes', 'streakRatings', 'userLikes', 'userRatings'],
    value: (l, n, ul, un) => rate(l, n, userRate(ul, un), 3) - userRate(ul, un),
  },
  foursShare: { of: ['userFours', 'userRatings'], value: (fours, n) => rate(fours, n, 0.25, 4) },
  userSeen: { of: ['userRatings'], value: (n) => Math.log1p(n) },
  movieSeen: { of: ['movieRatings'], value: (n) => Math.log1p(n) },
})

const ids = request(impression, {
  user: ({ userId }) => userId,
  movie: ({ movieId }) => movieId,
  decade: ({ decade }) => decade,
  genre: ({ genres }) => genreNumber(genres[0]),
  secondGenre: ({ genres }) => genreNumber(genres[1]),
})

export const likes = model('likes', {
  on: impression,
  features: [userTaste, movieTaste, genreTaste, decadeTaste, taste, ids],
  label: { from: rating, join: 'impressionId', value: ({ stars }) => stars >= 4, within: days(1) },
  learner: hashedLogistic({
    categorical: ['user', 'movie', 'decade', 'genre', 'secondGenre'],
    crosses: [
      ['user', 'genre'],
      ['user', 'secondGenre'],
      ['user', 'decade'],
    ],
    // Sums and counts are what the computed columns are made of.
    unused: [
      'userRatings',
      'userLikes',
      'userStars',
      'userFours',
      'streakRatings',
      'streakLikes',
      'movieRatings',
      'movieLikes',
      'movieStars',
      'genreRatings',
      'genreLikes',
      'decadeRatings',
      'decadeStars',
    ],
    optimizer: { kind: 'adagrad', rate: 0.15, epsilon: 1 },
  }),
  baselines: [globalMean(), byKey('userId', 'userMean'), byKey('movieId', 'movieMean')],
  owner: 'recommendations',
  description: 'P(stars >= 4) for a user and a movie, before the rating is known',
})

/** A genre's number: its place in the order of first appearance would depend on the file, its letters do not. */
function genreNumber(genre: string | undefined): number | null {
  if (genre === undefined) return null
  let number = 0
  for (const letter of genre) number = (number * 31 + (letter.codePointAt(0) ?? 0)) % 0x7fffffff
  return number
}

const dataFile = (name: string) => fileURLToPath(new URL(`data/${name}`, import.meta.url))

async function* ratings(): AsyncGenerator<SourceRow> {
  const movies = new Map<string, { genres: string[]; decade: number | null }>()
  for await (const [movieId = '', title = '', genres = ''] of csvRows(dataFile('movies.csv'))) {
    const year = /\((\d{4})\)\s*$/.exec(title)?.[1]
    movies.set(movieId, {
      genres: genres === '(no genres listed)' ? [] : genres.split('|'),
      decade: year === undefined ? null : Math.floor(Number(year) / 10) * 10,
    })
  }
  for await (const [userId = '', movieId = '', stars = '', second = ''] of csvRows(
    dataFile('ratings.csv.gz'),
  )) {
    if (userId === 'userId') continue
    const movie = movies.get(movieId) ?? { genres: [], decade: null }
    const base = {
      impressionId: `${userId}-${movieId}`,
      userId: Number(userId),
      movieId: Number(movieId),
      ...movie,
      at: Number(second) * 1000,
    }
    yield [
      ['impression', base],
      ['rating', { ...base, stars: Number(stars) }],
    ]
  }
}

export default topology('movies', {
  events: [impression, rating],
  models: [likes],
  sources: [{ name: 'movielens-small', rowCount: 100_836, rows: ratings }],
  tryIt: [
    `curl -s {url}/v1/models/likes/predict -H 'content-type: application/json' -d '{"userId":599,"movieId":296,"genres":["Comedy","Crime"],"decade":1990}'`,
    'curl -s {url}/v1/features/movie-taste/296',
    'curl -s {url}/v1/models/likes/predictions/599-296',
  ],
})
